import { appendFileSync, existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { parseArgs } from 'node:util';
import { calibrationPath, Probe, type Reading, readCalibration } from '@app/inference';
import { policyNames } from '@app/kv-policy';
import { comparePolicy, keptScores } from './quality/comparison.js';
import { loadSamples, type QualitySample } from './quality/datasets.js';
import { measureSample } from './quality/measure.js';
import { qualityPlot } from './quality/plot.js';
import { QUALITY_MODES, type QualityMode } from './quality/prompts.js';
import { type QualityRow, rowKey } from './quality/rows.js';
import { summarise } from './quality/summary.js';
import { comparisonTable, summaryTable } from './quality/tables.js';

/**
 * Quality of compressed caches against the full cache on the same prompts. Run by `npm run bench:quality -- --data DIR[,DIR...]
 * --policies a,b --budgets 0.5,0.35,0.2,0.1 --mode seen,together,unseen,prompt --reading exact,merging --limit N --max-context N
 * --json FILE`. What is read merging is named `<policy>, merging` in rows and tables; `kvmerger:count:0.75` is a policy with
 * its mass mode and threshold. In mode `together` the question is one of eight that are known: the others are those of the
 * samples that follow.
 *
 * Rows go to FILE.rows.jsonl as they are measured; run again with the same FILE, the bench goes on where it was.
 */
const ROOT = join(import.meta.dirname, '../..');
const OURS = 'calibrated-merge';
/** Questions that are known beside a sample's own in mode `together`. */
const OTHER_QUESTIONS = 7;
const list = (text: string): string[] => text.split(',').filter((item) => item !== '');

const USAGE =
  'usage: npm run bench:quality -- --data DIR[,DIR...] [--policies a,b] [--budgets 0.35,0.1] [--mode seen,together,unseen,prompt] ' +
  '[--reading exact,merging] [--limit N] [--max-context N] [--answer-tokens N] [--shard i/n] [--threads N] [--json FILE]';
const OPTIONS = {
  data: { type: 'string' },
  policies: { type: 'string', default: policyNames.filter((name) => name !== 'full').join() },
  budgets: { type: 'string', default: '0.5,0.35,0.2,0.1' },
  mode: { type: 'string', default: 'seen' },
  reading: { type: 'string', default: 'exact' },
  limit: { type: 'string', default: '50' },
  'max-context': { type: 'string', default: '8192' },
  'answer-tokens': { type: 'string', default: '48' },
  shard: { type: 'string', default: '1/1' },
  json: { type: 'string', default: join(ROOT, 'bench/results/quality.json') },
  model: { type: 'string', default: join(ROOT, 'models/smollm2-135m-instruct.q4_1.gguf') },
  'data-dir': { type: 'string', default: join(ROOT, '.longhaul') },
  threads: { type: 'string', default: String(availableParallelism()) },
} as const;
const values = readOptions();

async function main(): Promise<void> {
  if (values.data === undefined)
    throw new Error(`--data is expected, found none: name one or more folders of samples.\n${USAGE}`);
  const modes = choices<QualityMode>('mode', values.mode, QUALITY_MODES);
  const readings = choices<Reading>('reading', values.reading, ['exact', 'merging']);
  const rowsFile = `${values.json}.rows.jsonl`;
  mkdirSync(dirname(rowsFile), { recursive: true });
  const rows = readRows(rowsFile);
  const probe = await Probe.open({
    modelPath: values.model,
    cacheDir: join(values['data-dir'], 'graphs'),
    precision: 'q8',
    threads: Number(values.threads),
  });
  const calibration = await readCalibration(calibrationPath(values.model), await probe.gguf.contentHash(), probe.shape);
  if ('missing' in calibration) console.warn(`budgets are uniform: ${calibration.missing}`);
  const settings = {
    probe,
    calibration: 'missing' in calibration ? undefined : calibration,
    policies: list(values.policies),
    budgets: list(values.budgets).map(Number),
    modes,
    readings,
    maxContext: Math.min(Number(values['max-context']), probe.shape.contextLength),
    answerTokens: Number(values['answer-tokens']),
  };

  const loaded = byTurns((await loadSamples(list(values.data))).samples);
  const samples = ofShard(loaded.slice(0, Number(values.limit)), values.shard);
  const done = new Set(rows.map(rowKey));
  const start = performance.now();
  for (const [index, sample] of samples.entries()) {
    for await (const row of measureSample(sample, settings, (key) => done.has(key), following(sample, loaded))) {
      rows.push(row);
      appendFileSync(rowsFile, `${JSON.stringify(row)}\n`);
    }
    const minutes = (performance.now() - start) / 60_000;
    const left = (minutes / (index + 1)) * (samples.length - index - 1);
    console.log(`${index + 1}/${samples.length} ${sample.id} ${minutes.toFixed(1)} min, about ${left.toFixed(0)} left`);
  }
  await probe.close();
  report(rows);
}

function readOptions() {
  try {
    return parseArgs({ options: OPTIONS }).values;
  } catch (error) {
    console.error(`${(error as Error).message}\n${USAGE}`);
    process.exit(1);
  }
}

function choices<Choice extends string>(option: string, text: string, known: readonly Choice[]): Choice[] {
  return list(text).map((name) => {
    const found = known.find((choice) => choice === name);
    if (found !== undefined) return found;
    throw new Error(`--${option} must be one of ${known.join(', ')}, found ${name}.`);
  });
}

function report(rows: readonly QualityRow[]): void {
  const summary = summarise(rows);
  // Where files lie on one machine says nothing to others.
  const { json: _json, 'data-dir': _dataDir, ...settings } = { ...values, model: basename(values.model) };
  const json = { date: new Date().toISOString().slice(0, 10), settings, summary, rows };
  writeFileSync(values.json, `${JSON.stringify(json, null, 1)}\n`);
  const base = values.json.replace(/\.json$/, '');
  const comparisons = rows.some(({ policy }) => policy === OURS)
    ? `\n${comparisonTable(comparePolicy(rows, OURS))}`
    : '';
  const text = summaryTable(summary, keptScores(rows)) + comparisons;
  writeFileSync(`${base}.md`, text);
  const modes = [...new Set(rows.map(({ mode }) => mode))];
  const plots = modes.map((mode) => (modes.length === 1 ? `${base}.svg` : `${base}-${mode}.svg`));
  for (const [i, mode] of modes.entries()) writeFileSync(plots[i] as string, qualityPlot(summary, { mode }));
  console.log(`\n${text}\nwritten: ${[values.json, `${base}.md`, ...plots].join(', ')}`);
}

function readRows(file: string): QualityRow[] {
  if (!existsSync(file)) return [];
  const lines = readFileSync(file, 'utf8').split('\n').slice(0, -1);
  return lines.map((line) => JSON.parse(line) as QualityRow);
}

/** One sample of each dataset after the other, so that a limit cuts all of them alike. */
function byTurns(samples: readonly QualitySample[]): QualitySample[] {
  const turns = new Map<string, number>();
  const turn = new Map(
    samples.map((sample) => {
      const next = turns.get(sample.dataset) ?? 0;
      turns.set(sample.dataset, next + 1);
      return [sample, next];
    }),
  );
  return [...samples].sort((a, b) => turn.get(a)! - turn.get(b)!);
}

/** The samples that come after one, the first after the last. */
function following(sample: QualitySample, samples: readonly QualitySample[]): QualitySample[] {
  const at = samples.indexOf(sample);
  return [...samples.slice(at + 1), ...samples.slice(0, at)].slice(0, OTHER_QUESTIONS);
}

/** Every n-th sample from the i-th on, for `i/n`: processes side by side share the work. */
function ofShard(samples: readonly QualitySample[], shard: string): QualitySample[] {
  const [i = 1, n = 1] = shard.split('/').map(Number);
  return samples.filter((_, index) => index % n === i - 1);
}

await main().catch((error: Error) => {
  console.error(error.message);
  process.exitCode = 1;
});
