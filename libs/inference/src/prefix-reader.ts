import { type AttentionKind, WINDOW_TOKENS } from '@app/kv-policy';
import { IO, type LlamaShape } from '@app/onnx-graph';
import type { InferenceSession } from 'onnxruntime-node';
import { AskedRows } from './asked-rows.js';
import { free } from './kv-memory.js';
import { CHUNKS_BETWEEN, compressRead, type MergingRead, readingCapacities } from './merging-read.js';
import { ReadingCache } from './reading-cache.js';
import { readingFeeds } from './reading-run.js';
import { data } from './tensors.js';

/** Tokens read in one run: long enough to keep the matrix products busy, short enough to abort soon. */
export const PREFILL_CHUNK = 256;
/**
 * And once so many are read, twice as many: every run copies what has been read into the order that attention wants it in.
 * From here on that costs more than the keys of the run's own tokens that no query sees.
 */
const LONGER_AFTER = 2048;

/** Awaited between runs; throws when the work has been given up. */
export type Checkpoint = () => Promise<void>;

export interface ReadOptions {
  readonly shape: LlamaShape;
  readonly tokens: readonly number[];
  /** Whose attention is gathered; `questions` is left to `scoreQuestions`. */
  readonly attention: readonly AttentionKind[];
  readonly checkpoint: Checkpoint;
  /** Called with the logits `[n, vocabulary]` of every chunk, which costs a product with the whole vocabulary a token. */
  readonly onLogits?: (logits: Float32Array) => void;
  /**
   * Heads are compressed again and again while they are read, so that no head ever holds much more than it keeps in the
   * end, and later tokens see what is left of the earlier ones. Left out: every token stays as it is.
   */
  readonly merging?: MergingRead | undefined;
}

/** Tokens of questions that are run at a compression while reading: few beside the tokens read since the last one. */
const QUESTION_TOKENS = 64;

/** Reads a prefix chunk by chunk with a `prefill` session. Nothing of it is held where that fails. */
export async function readPrefix(session: InferenceSession, options: ReadOptions): Promise<ReadingCache> {
  const { shape, tokens, attention, merging } = options;
  const capacities = merging && readingCapacities(merging.entries, tokens.length, CHUNKS_BETWEEN * PREFILL_CHUNK);
  const cache = new ReadingCache(shape, tokens.length, attention, capacities);
  try {
    await readChunks(session, cache, options);
    return cache;
  } catch (error) {
    cache.release();
    throw error;
  }
}

async function readChunks(session: InferenceSession, cache: ReadingCache, options: ReadOptions): Promise<void> {
  const { shape, tokens, attention, merging } = options;
  const borders = chunkBorders(tokens.length, merging === undefined);
  const compressesBefore = (chunk: number) => merging !== undefined && chunk > 0 && chunk % CHUNKS_BETWEEN === 0;
  const questions = pack(merging?.questions ?? [], QUESTION_TOKENS);
  for (const [index, [from, to]] of borders.entries()) {
    if (merging !== undefined && compressesBefore(index)) {
      if (attention.includes('questions')) {
        // More than fit in one run take turns.
        const asked = questions[(index / CHUNKS_BETWEEN) % questions.length] ?? [];
        await scoreQuestions(session, cache, asked, options.checkpoint);
      }
      compressRead(cache, merging);
    }
    await options.checkpoint();
    const chunk = tokens.slice(from, to);
    const ends = to === tokens.length || compressesBefore(index + 1);
    const weights = queryWeights(attention, chunk.length, ends);
    const logits = options.onLogits !== undefined;
    const outputs = await session.run(readingFeeds(cache, { sequences: [chunk], weights, logits }));
    addAttention(cache, weights, outputs);
    const fresh = (name: string) => data(outputs, name).subarray(0, chunk.length * shape.kvHeads * shape.headSize);
    for (let layer = 0; layer < shape.layers; layer++) {
      cache.append(layer, fresh(IO.newKey(layer)), fresh(IO.newValue(layer)));
    }
    cache.advance(chunk.length);
    options.onLogits?.(data(outputs, IO.logits));
  }
}

/**
 * Runs the items' own questions over what has been read, for their attention alone (`questions`): every question counts the
 * same, whatever its length. Questions are run side by side; of one that is longer than a chunk, its last tokens.
 * @param recording whether what they got is wanted too, to match what will be kept to it; undefined where nothing is asked
 * @param counts how much each question counts; 1 where recording
 */
export async function scoreQuestions(
  session: InferenceSession,
  cache: ReadingCache,
  questions: readonly (readonly number[])[],
  checkpoint: Checkpoint,
  recording = false,
  counts = 1,
): Promise<AskedRows | undefined> {
  const runs = pack(questions, PREFILL_CHUNK);
  const sums = cache.heads.map((_, index) => IO.questionSum(...layerAndHead(cache, index)));
  const asking = runs.flat();
  const tokens = asking.flat().length;
  const asked = recording && tokens > 0 ? new AskedRows(cache.shape, tokens, asking.length) : undefined;
  for (const packed of runs) {
    await checkpoint();
    const counted = Float32Array.from(packed.flatMap((question) => question.map(() => counts / question.length)));
    const run = { sequences: packed, weights: new Map(), questions: counted, logits: false };
    const rows = asked === undefined ? [] : cache.heads.map((_, index) => IO.askedRows(...layerAndHead(cache, index)));
    const outputs = await session.run(readingFeeds(cache, run), [...sums, ...rows]);
    asked?.add(
      rows.map((name) => data(outputs, name)),
      counted,
    );
    // The first column stands for the questions themselves.
    for (const [index, head] of cache.heads.entries()) {
      head.addAttention(['questions'], data(outputs, sums[index] as string).subarray(1, 1 + head.entries));
    }
    free([...sums, ...rows].map((name) => data(outputs, name)));
  }
  return asked;
}

/**
 * Borders of the chunks; the last one holds the whole window, so that only one chunk has to be scored for it.
 * @param longer whether chunks are longer where that reads faster; else compressions find a border every `PREFILL_CHUNK` tokens
 */
export function chunkBorders(tokens: number, longer: boolean): [from: number, to: number][] {
  const borders: [number, number][] = [];
  for (let from = 0; from < tokens; ) {
    const size = longer && from >= LONGER_AFTER ? 2 * PREFILL_CHUNK : PREFILL_CHUNK;
    const left = tokens - from;
    // What is left after this chunk must be none of the window, or all of it.
    const length = left <= size ? left : Math.min(size, Math.max(left - WINDOW_TOKENS, 1));
    borders.push([from, from + length]);
    from += length;
  }
  return borders;
}

/** First-fit in order: as many whole questions a run as there is room for; of one that is longer, its last tokens. */
function pack(questions: readonly (readonly number[])[], room: number): (readonly number[])[][] {
  const runs: (readonly number[])[][] = [];
  let left = 0;
  for (const whole of questions) {
    const question = whole.slice(-room);
    if (question.length === 0) continue;
    if (question.length > left) {
      runs.push([]);
      left = room;
    }
    runs.at(-1)?.push(question);
    left -= question.length;
  }
  return runs;
}

/**
 * How much each of a chunk's tokens counts in each kind; kinds to which none of them counts are left out.
 * @param ends whether entries are compressed after this chunk, so that its last tokens are the window
 */
function queryWeights(
  kinds: readonly AttentionKind[],
  tokens: number,
  ends: boolean,
): Map<AttentionKind, Float32Array> {
  const counted: Record<AttentionKind, number> = {
    all: tokens,
    window: ends ? WINDOW_TOKENS : 0,
    last: ends ? 1 : 0,
    questions: 0,
  };
  const weights = new Map<AttentionKind, Float32Array>();
  for (const kind of kinds) {
    if (counted[kind] > 0) weights.set(kind, new Float32Array(tokens).fill(1, Math.max(0, tokens - counted[kind])));
  }
  return weights;
}

function addAttention(
  cache: ReadingCache,
  weights: ReadonlyMap<AttentionKind, Float32Array>,
  outputs: InferenceSession.ReturnType,
): void {
  const kinds = [...weights.keys()];
  if (kinds.length === 0) return;
  for (const [index, head] of cache.heads.entries()) {
    head.addAttention(kinds, data(outputs, IO.attentionSum(...layerAndHead(cache, index))));
  }
}

const layerAndHead = ({ shape: { kvHeads } }: ReadingCache, index: number): [layer: number, head: number] => [
  Math.floor(index / kvHeads),
  index % kvHeads,
];
