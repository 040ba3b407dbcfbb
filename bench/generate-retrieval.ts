import { mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { GgufError, GgufModel } from '@app/gguf-model';
import {
  RETRIEVAL_TASKS,
  retrievalTasks,
  SEED_RANGES,
  SeedOutOfRangeError,
  type Split,
  TooLittleTextError,
  UnfitLengthError,
} from '@app/retrieval-tasks';

/**
 * Writes retrieval tasks over public-domain documents in RULER's format, one file a task. Run by
 * `npm run generate:retrieval -- --length 4096 --count 20 --seed 1 --split evaluation --out DIR`.
 */
const ROOT = join(import.meta.dirname, '../..');
const LENGTHS = { least: 512, most: 8192 };
const USAGE =
  'usage: npm run generate:retrieval -- --out DIR [--length 512..8192] [--count N] [--seed N] ' +
  '[--split calibration|evaluation] [--documents DIR] [--model FILE]';

class UsageError extends Error {}

interface Options {
  readonly length: number;
  readonly count: number;
  readonly seed: number;
  readonly split: Split;
  readonly out: string;
  readonly documents: string;
  readonly model: string;
}

function readOptions(): Options {
  const { values } = parseArgs({
    options: {
      length: { type: 'string', default: '4096' },
      count: { type: 'string', default: '20' },
      seed: { type: 'string', default: '1' },
      split: { type: 'string', default: 'evaluation' },
      out: { type: 'string' },
      documents: { type: 'string', default: join(ROOT, 'examples/documents') },
      model: { type: 'string', default: join(ROOT, 'models/smollm2-135m-instruct.q4_1.gguf') },
    },
  });
  const { split, out } = values;
  if (out === undefined) throw new UsageError('--out is expected, found none: name the folder to write to.');
  if (!isSplit(split))
    throw new UsageError(`--split must be ${Object.keys(SEED_RANGES).join(' or ')}, found ${split}.`);
  return {
    ...values,
    out,
    split,
    length: integer('--length', values.length, LENGTHS.least, LENGTHS.most),
    count: integer('--count', values.count, 1, 100_000),
    seed: integer('--seed', values.seed, 0, SEED_RANGES[split].count - 1),
  };
}

const isSplit = (name: string): name is Split => Object.hasOwn(SEED_RANGES, name);

function integer(name: string, text: string, least: number, most: number): number {
  const value = Number(text);
  if (Number.isInteger(value) && value >= least && value <= most) return value;
  throw new UsageError(`${name} must be an integer from ${least} to ${most}, found ${text}.`);
}

async function main(): Promise<void> {
  const { documents, model: file, out, ...wanted } = readOptions();
  const texts = readdirSync(documents)
    .filter((name) => name.endsWith('.txt'))
    .sort()
    .map((name) => readFileSync(join(documents, name), 'utf8'));
  const model = await GgufModel.open(file);
  await model.close();
  const countTokens = (text: string): number => model.tokenizer.encode(text).length;
  mkdirSync(out, { recursive: true });
  for (const task of RETRIEVAL_TASKS) {
    const rows = [...retrievalTasks(texts, { ...wanted, countTokens, tasks: [task] })];
    const path = join(out, `${task}.jsonl`);
    writeFileSync(`${path}.part`, rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
    renameSync(`${path}.part`, path);
    const lengths = rows.map((row) => row.length);
    console.log(`${path}: ${rows.length} rows of ${Math.min(...lengths)} to ${Math.max(...lengths)} tokens`);
  }
}

/** What the user can put right is told in one line; anything else is a bug and keeps its stack. */
function explain(error: unknown): string {
  if (error instanceof UsageError) return `${error.message}\n${USAGE}`;
  if (error instanceof TypeError && 'code' in error && String(error.code).startsWith('ERR_PARSE_ARGS')) {
    return `${error.message}\n${USAGE}`;
  }
  const expected = [TooLittleTextError, UnfitLengthError, SeedOutOfRangeError, GgufError];
  if (expected.some((kind) => error instanceof kind)) return (error as Error).message;
  if (error instanceof Error && 'syscall' in error) return error.message;
  throw error;
}

try {
  await main();
} catch (error) {
  console.error(explain(error));
  process.exitCode = 1;
}
