import { type AttentionKind, WINDOW_TOKENS } from '@app/kv-policy';
import { IO, type LlamaShape } from '@app/onnx-graph';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { FullCache } from './full-cache.js';
import { sequencesBias } from './tail-bias.js';

/** Tokens read in one run: long enough to keep the matrix products busy, short enough to abort soon. */
export const PREFILL_CHUNK = 256;

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
}

/** Reads a prefix chunk by chunk with a `prefill` session. */
export async function readPrefix(session: InferenceSession, options: ReadOptions): Promise<FullCache> {
  const { shape, tokens } = options;
  const cache = new FullCache(shape, tokens.length, options.attention);
  for (const [from, to] of chunks(tokens.length)) {
    await options.checkpoint();
    const chunk = tokens.slice(from, to);
    const weights = queryWeights(options.attention, from, to, tokens.length);
    const outputs = await session.run(feeds(cache, [chunk], weights, options.onLogits !== undefined));
    addAttention(cache, weights, outputs);
    for (let layer = 0; layer < shape.layers; layer++) {
      cache.append(layer, data(outputs, IO.newKey(layer)), data(outputs, IO.newValue(layer)));
    }
    cache.advance(chunk.length);
    options.onLogits?.(data(outputs, IO.logits));
  }
  return cache;
}

/**
 * Runs the items' own questions over a whole cache, for their attention alone (`questions`): every question counts the
 * same, whatever its length. Questions are run side by side; of one that is longer than a chunk, its last tokens.
 */
export async function scoreQuestions(
  session: InferenceSession,
  cache: FullCache,
  questions: readonly (readonly number[])[],
  checkpoint: Checkpoint,
): Promise<void> {
  for (const packed of pack(questions.map((question) => question.slice(-PREFILL_CHUNK)))) {
    await checkpoint();
    const row = Float32Array.from(packed.flatMap((question) => question.map(() => 1 / question.length)));
    const weights = new Map<AttentionKind, Float32Array>([['questions', row]]);
    addAttention(cache, weights, await session.run(feeds(cache, packed, weights, false)));
  }
}

/** Borders of the chunks; the last one holds the whole window, so that only one chunk has to be scored for it. */
function chunks(tokens: number): [from: number, to: number][] {
  const result: [number, number][] = [];
  const lastFrom = Math.max(
    0,
    Math.min(tokens - WINDOW_TOKENS, Math.floor((tokens - 1) / PREFILL_CHUNK) * PREFILL_CHUNK),
  );
  for (let from = 0; from < lastFrom; from += PREFILL_CHUNK)
    result.push([from, Math.min(from + PREFILL_CHUNK, lastFrom)]);
  result.push([lastFrom, tokens]);
  return result;
}

/** First-fit in order: as many whole questions a run as a chunk holds. */
function pack(questions: readonly (readonly number[])[]): (readonly number[])[][] {
  const runs: (readonly number[])[][] = [];
  let room = 0;
  for (const question of questions) {
    if (question.length === 0) continue;
    if (question.length > room) {
      runs.push([]);
      room = PREFILL_CHUNK;
    }
    runs.at(-1)?.push(question);
    room -= question.length;
  }
  return runs;
}

/** How much each token from `from` to `to` counts in each kind; kinds to which none of them counts are left out. */
function queryWeights(
  kinds: readonly AttentionKind[],
  from: number,
  to: number,
  tokens: number,
): Map<AttentionKind, Float32Array> {
  const firstCounted: Record<AttentionKind, number> = {
    all: 0,
    window: Math.max(0, tokens - WINDOW_TOKENS),
    last: tokens - 1,
    questions: tokens,
  };
  const weights = new Map<AttentionKind, Float32Array>();
  for (const kind of kinds) {
    const first = firstCounted[kind];
    if (first < to)
      weights.set(
        kind,
        Float32Array.from({ length: to - from }, (_, i) => (from + i >= first ? 1 : 0)),
      );
  }
  return weights;
}

function feeds(
  cache: FullCache,
  sequences: readonly (readonly number[])[],
  weights: ReadonlyMap<AttentionKind, Float32Array>,
  logits: boolean,
): InferenceSession.FeedsType {
  const { layers, kvHeads, queryHeads, headSize } = cache.shape;
  const tokens = sequences.flat();
  const [n, group] = [tokens.length, queryHeads / kvHeads];
  const rows = logits ? tokens.map((_, row) => row) : [];
  // A question too long for the context is refused when it is asked; until then its end shares the last position.
  const last = cache.shape.contextLength - 1;
  const positions = sequences.flatMap((sequence) => sequence.map((_, i) => Math.min(cache.length + i, last)));
  const bias = sequencesBias(
    group,
    sequences.map((sequence) => sequence.length),
  );
  const feed: Record<string, Tensor> = {
    [IO.tokens]: integers(tokens, [n]),
    [IO.positions]: integers(positions, [1, n]),
    [IO.tailBias]: new Tensor('float32', bias, [group * n, n]),
    [IO.logitRows]: integers(rows, [rows.length]),
    [IO.queryWeight]: weightRows(weights, group, n),
  };
  const dims = [cache.length, headSize];
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < kvHeads; head++) {
      const index = layer * kvHeads + head;
      const read = (source: Float32Array[]) =>
        new Tensor('float32', (source[index] as Float32Array).subarray(0, cache.length * headSize), dims);
      feed[IO.prefixKey(layer, head)] = read(cache.keys);
      feed[IO.prefixValue(layer, head)] = read(cache.values);
    }
  }
  return feed;
}

/** `[kinds, group * n]`: the same weights for every query head of a group. */
function weightRows(weights: ReadonlyMap<AttentionKind, Float32Array>, group: number, n: number): Tensor {
  const rows = new Float32Array(weights.size * group * n);
  for (const [row, weight] of [...weights.values()].entries()) {
    for (let head = 0; head < group; head++) rows.set(weight, (row * group + head) * n);
  }
  return new Tensor('float32', rows, [weights.size, group * n]);
}

function addAttention(
  cache: FullCache,
  weights: ReadonlyMap<AttentionKind, Float32Array>,
  outputs: InferenceSession.ReturnType,
): void {
  const kinds = [...weights.keys()];
  if (kinds.length === 0) return;
  const { layers, kvHeads } = cache.shape;
  for (let layer = 0; layer < layers; layer++) {
    for (let head = 0; head < kvHeads; head++) {
      cache.addAttention(layer * kvHeads + head, kinds, data(outputs, IO.attentionSum(layer, head)));
    }
  }
}

/** int64 tensor of small whole numbers. */
export function integers(values: readonly number[], dims: readonly number[]): Tensor {
  return new Tensor('int64', BigInt64Array.from(values, BigInt), dims);
}

/** The values of a float output. */
export function data(outputs: InferenceSession.ReturnType, name: string): Float32Array {
  return outputs[name]?.data as Float32Array;
}
