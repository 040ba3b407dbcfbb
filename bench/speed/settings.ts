import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { KV_TYPES, type KvType } from '@app/onnx-graph';
import type { ClockName } from './clock.js';

export const SECTIONS = ['rates', 'load', 'prefill', 'decode', 'reading', 'batch', 'memory', 'profile'] as const;
export type Section = (typeof SECTIONS)[number];

export interface SpeedSettings {
  /** Sections to run, in the order of `SECTIONS`. */
  readonly only: readonly Section[];
  readonly rounds: number;
  /** Results file; a Markdown table and a plot are written beside it. */
  readonly json: string;
  readonly modelPath: string;
  readonly dataDir: string;
  readonly precision: 'q8' | 'f32';
  /** How Longhaul holds keys and values. */
  readonly kvType: KvType;
  readonly threads: number;
  /** Which seconds are measured. */
  readonly clock: ClockName;
  /** Document lengths of section `prefill`, tokens. */
  readonly prefillLengths: readonly number[];
  /** Prefix lengths of section `decode`, tokens. */
  readonly decodeKeys: readonly number[];
  /** Document lengths of section `reading`, tokens. */
  readonly readingLengths: readonly number[];
  /** Kept shares of the cache that are measured beside the full one, through `calibrated-merge`. */
  readonly budgets: readonly number[];
  /** Kept shares in section `batch`. */
  readonly batchBudgets: readonly number[];
  /** Tokens generated for one figure of section `decode`, and for each answer of `batch`. */
  readonly answerTokens: number;
  /** Documents of a batch, and the length of each. */
  readonly documents: number;
  readonly documentTokens: number;
  /** Questions asked of every document. */
  readonly questions: number;
  /** Whether the peer uses flash attention: with and without it are both measured. */
  readonly peerFlashAttention: readonly boolean[];
  /** Batch sizes tried for the peer. */
  readonly peerBatchSizes: readonly number[];
  /** Items measured for the peer without prefix reuse: they are all the same work. */
  readonly peerItems: number;
  /** Documents measured for the peer with prefix reuse. */
  readonly peerDocuments: number;
  /**
   * Share of the cores that other processes may use: a figure waits for a moment with less, `patience` minutes at most,
   * and is taken again, `retries` times at most, when they used more meanwhile. 1: whatever the others do.
   */
  readonly others: number;
  readonly patience: number;
  readonly retries: number;
  /** Context length written into a copy of the model file, so that longer documents can be timed; 0: as it is. */
  readonly context: number;
}

/** An option of the bench that cannot be used. */
export class SpeedOptionError extends Error {
  override readonly name = 'SpeedOptionError';
}

export function readSettings(args: readonly string[], root: string): SpeedSettings {
  const { values } = parseArgs({
    args: [...args],
    options: {
      only: { type: 'string', default: SECTIONS.join() },
      rounds: { type: 'string', default: '5' },
      json: { type: 'string', default: join(root, 'bench/results/speed.json') },
      model: { type: 'string', default: join(root, 'models/smollm2-135m-instruct.q4_1.gguf') },
      'data-dir': { type: 'string', default: join(root, '.longhaul') },
      precision: { type: 'string', default: 'q8' },
      'kv-type': { type: 'string', default: 'f32' },
      threads: { type: 'string', default: String(Math.min(2, availableParallelism())) },
      clock: { type: 'string', default: 'wall' },
      'prefill-lengths': { type: 'string', default: '512,1024,2048,4096,6144,8000' },
      'decode-keys': { type: 'string', default: '1024,2048,4096,6144,8000' },
      'reading-lengths': { type: 'string', default: '2048,8000' },
      budgets: { type: 'string', default: '0.35,0.1' },
      'batch-budgets': { type: 'string', default: '0.35' },
      answer: { type: 'string', default: '64' },
      documents: { type: 'string', default: '4' },
      'document-tokens': { type: 'string', default: '8000' },
      questions: { type: 'string', default: '8' },
      'peer-batch': { type: 'string', default: '512,1024,2048' },
      'peer-flash': { type: 'string', default: 'on,off' },
      'peer-items': { type: 'string', default: '2' },
      'peer-documents': { type: 'string', default: '1' },
      others: { type: 'string', default: '1' },
      patience: { type: 'string', default: '10' },
      retries: { type: 'string', default: '3' },
      context: { type: 'string', default: '0' },
    },
  });
  const precision = values.precision;
  if (precision !== 'q8' && precision !== 'f32') {
    throw new SpeedOptionError(`--precision must be q8 or f32, found '${precision}'.`);
  }
  const kvType = KV_TYPES.find((type) => type === values['kv-type']);
  if (kvType === undefined) throw new SpeedOptionError(`--kv-type must be f32 or f16, found '${values['kv-type']}'.`);
  const clock = values.clock;
  if (clock !== 'wall' && clock !== 'cpu') throw new SpeedOptionError(`--clock must be wall or cpu, found '${clock}'.`);
  return {
    only: sections(values.only),
    rounds: count('rounds', values.rounds),
    json: values.json,
    modelPath: values.model,
    dataDir: values['data-dir'],
    precision,
    kvType,
    clock,
    threads: count('threads', values.threads),
    prefillLengths: counts('prefill-lengths', values['prefill-lengths']),
    decodeKeys: counts('decode-keys', values['decode-keys']),
    readingLengths: counts('reading-lengths', values['reading-lengths']),
    budgets: shares('budgets', values.budgets),
    batchBudgets: shares('batch-budgets', values['batch-budgets']),
    answerTokens: count('answer', values.answer),
    documents: count('documents', values.documents),
    documentTokens: count('document-tokens', values['document-tokens']),
    questions: count('questions', values.questions),
    peerBatchSizes: counts('peer-batch', values['peer-batch']),
    peerFlashAttention: list(values['peer-flash']).map((text) => onOrOff('peer-flash', text)),
    peerItems: count('peer-items', values['peer-items']),
    peerDocuments: count('peer-documents', values['peer-documents']),
    others: share('others', values.others),
    patience: count('patience', values.patience),
    retries: count('retries', values.retries),
    context: values.context === '0' ? 0 : count('context', values.context),
  };
}

function sections(text: string): Section[] {
  const named = new Set(list(text));
  const found = SECTIONS.filter((section) => named.delete(section));
  if (named.size > 0) {
    throw new SpeedOptionError(`--only takes some of ${SECTIONS.join(', ')}, found '${[...named].join()}'.`);
  }
  return found;
}

const list = (text: string): string[] => text.split(',').filter((item) => item !== '');

function count(option: string, text: string): number {
  const value = Number(text);
  if (!Number.isInteger(value) || value < 1) {
    throw new SpeedOptionError(`--${option} must be a whole number, at least 1, found '${text}'.`);
  }
  return value;
}

function share(option: string, text: string): number {
  const value = Number(text);
  if (!(value > 0 && value <= 1))
    throw new SpeedOptionError(`--${option} must be over 0 and at most 1, found '${text}'.`);
  return value;
}

function onOrOff(option: string, text: string): boolean {
  if (text !== 'on' && text !== 'off') throw new SpeedOptionError(`--${option} takes on and off, found '${text}'.`);
  return text === 'on';
}

const counts = (option: string, text: string): number[] => list(text).map((item) => count(option, item));
const shares = (option: string, text: string): number[] => list(text).map((item) => share(option, item));
