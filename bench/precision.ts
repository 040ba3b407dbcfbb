import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { divergence, Probe } from '@app/inference';
import { mean, median } from './averages.js';

/**
 * How far the default 8-bit path is from float32: KL divergence of the next token over 4,096 positions of public-domain text.
 * Run by `npm run bench:precision -- [--json FILE] [--positions N]`.
 */
const ROOT = join(import.meta.dirname, '../..');
const TEXTS = ['federalist_10.txt', 'federalist_51.txt', 'scotus_greene_v_fisher.txt', 'scotus_lewis_v_chicago.txt'];
const BOUND = 0.01;

const { values: options } = parseArgs({
  options: {
    json: { type: 'string', default: join(ROOT, 'bench/results/precision.json') },
    positions: { type: 'string', default: '4096' },
    model: { type: 'string', default: join(ROOT, 'models/smollm2-135m-instruct.q4_1.gguf') },
    threads: { type: 'string', default: '2' },
  },
});

async function main(): Promise<void> {
  const settings = {
    modelPath: options.model,
    cacheDir: join(ROOT, '.longhaul/graphs'),
    threads: Number(options.threads),
  };
  const exact = await Probe.open({ ...settings, precision: 'f32' });
  const quantised = await Probe.open({ ...settings, precision: 'q8' });
  const perText = Math.ceil(Number(options.positions) / TEXTS.length);
  const rows = [];
  for (const text of TEXTS) {
    const source = readFileSync(join(ROOT, 'examples/documents', text), 'utf8');
    const tokens = exact.gguf.tokenizer.encode(source).slice(0, perText);
    const found = divergence(await exact.logits(tokens), await quantised.logits(tokens), tokens.length);
    rows.push({ text, positions: tokens.length, ...found });
    console.log(`${text}: ${tokens.length} positions, mean KL ${mean(found.kl).toFixed(5)}`);
  }
  await exact.close();
  await quantised.close();
  report(rows);
}

interface Row {
  readonly text: string;
  readonly positions: number;
  readonly kl: readonly number[];
  readonly agreement: number;
}

function report(rows: readonly Row[]): void {
  const all = rows.flatMap((row) => row.kl);
  const positions = all.length;
  const agreement = rows.reduce((sum, row) => sum + row.agreement * row.positions, 0) / positions;
  const summary = {
    positions,
    kl_mean: mean(all),
    kl_median: median(all),
    kl_max: Math.max(...all),
    agreement,
    bound: BOUND,
  };
  const texts = rows.map(({ text, kl, ...row }) => ({ text, ...row, kl_mean: mean(kl), kl_median: median(kl) }));
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(
    options.json,
    `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), summary, texts }, null, 2)}\n`,
  );

  console.log('\n| text | positions | mean KL | median KL | same top token |\n|---|---|---|---|---|');
  for (const row of [...texts, { text: 'all', ...summary }]) {
    const cells = [row.text, row.positions, row.kl_mean.toFixed(5), row.kl_median.toFixed(5), row.agreement.toFixed(4)];
    console.log(`| ${cells.join(' | ')} |`);
  }
  console.log(`\nBound: mean KL <= ${BOUND}. Written to ${options.json}`);
  if (summary.kl_mean > BOUND) process.exitCode = 1;
}

await main();
