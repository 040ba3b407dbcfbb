import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { divergence, Probe } from '@app/inference';
import { createPolicy } from '@app/kv-policy';
import { mean, median } from './averages.js';

/**
 * How far the default precision is from float32, as KL divergence of the next token over public-domain text: while a text is read
 * (the prefill graph, after every token of it), and while its second half is answered from the first (the decode graph, behind a
 * prefix that the prefill graph has read), also where that is held in float16. Run by `npm run bench:precision -- [--json FILE] [--positions N]`.
 */
const ROOT = join(import.meta.dirname, '../..');
const TEXTS = ['federalist_10.txt', 'federalist_51.txt', 'scotus_greene_v_fisher.txt', 'scotus_lewis_v_chicago.txt'];
const BOUND = 0.005;
const PATHS = ['reading', 'answering', 'answering, float16 held'] as const;

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
  const answering = [
    ['answering', quantised],
    ['answering, float16 held', await Probe.open({ ...settings, precision: 'q8', kvType: 'f16' })],
  ] as const;
  const perText = Math.ceil(Number(options.positions) / TEXTS.length);
  const rows: Row[] = [];
  for (const text of TEXTS) {
    const source = readFileSync(join(ROOT, 'examples/documents', text), 'utf8');
    const tokens = exact.gguf.tokenizer.encode(source).slice(0, perText);
    const expected = await exact.logits(tokens);
    rows.push(row('reading', text, expected, await quantised.logits(tokens), tokens.length));

    const half = Math.floor(tokens.length / 2);
    const cache = await quantised.read(tokens.slice(0, half), []);
    const { vocabulary } = exact.shape;
    for (const [path, probe] of answering) {
      const prefix = await probe.compress(cache, createPolicy('full'), 1);
      const answered = await probe.forced(prefix, tokens.slice(half, half + 1), tokens.slice(half + 1));
      const behind = expected.subarray(half * vocabulary, half * vocabulary + answered.length);
      rows.push(row(path, text, behind, answered, answered.length / vocabulary));
    }
  }
  await exact.close();
  for (const [, probe] of answering) await probe.close();
  report(rows);
}

interface Row {
  readonly path: (typeof PATHS)[number];
  readonly text: string;
  readonly positions: number;
  readonly kl: readonly number[];
  readonly agreement: number;
}

function row(path: Row['path'], text: string, exact: Float32Array, other: Float32Array, positions: number): Row {
  const found = divergence(exact, other, positions);
  console.log(`${text}, ${path}: ${positions} positions, mean KL ${mean(found.kl).toFixed(5)}`);
  return { path, text, positions, ...found };
}

function report(rows: readonly Row[]): void {
  const texts = rows.map(({ kl, ...rest }) => ({ ...rest, kl_mean: mean(kl), kl_median: median(kl) }));
  const summary = PATHS.map((path) => {
    const own = rows.filter((each) => each.path === path);
    const kl = own.flatMap((each) => each.kl);
    const agreeing = own.reduce((sum, each) => sum + each.agreement * each.positions, 0);
    return {
      path,
      text: 'all',
      positions: kl.length,
      agreement: agreeing / kl.length,
      kl_mean: mean(kl),
      kl_median: median(kl),
      kl_max: Math.max(...kl),
    };
  });
  const date = new Date().toISOString().slice(0, 10);
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(options.json, `${JSON.stringify({ date, bound: BOUND, summary, texts }, null, 2)}\n`);

  console.log('\n| path | text | positions | mean KL | median KL | same top token |\n|---|---|---|---|---|---|');
  for (const each of [...texts, ...summary]) {
    const figures = [each.kl_mean.toFixed(5), each.kl_median.toFixed(5), each.agreement.toFixed(4)];
    console.log(`| ${[each.path, each.text, each.positions, ...figures].join(' | ')} |`);
  }
  console.log(`\nBound: mean KL <= ${BOUND}. Written to ${options.json}`);
  if (summary.some(({ kl_mean }) => kl_mean > BOUND)) process.exitCode = 1;
}

await main();
