import { IO, type LlamaShape } from '@app/onnx-graph';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import { FullCache } from './full-cache.js';
import { tailBias } from './tail-bias.js';

/** Tokens read in one run: long enough to keep the matrix products busy, short enough to abort soon. */
export const PREFILL_CHUNK = 256;

/** Awaited between runs; throws when the work has been given up. */
export type Checkpoint = () => Promise<void>;

export interface ReadOptions {
  readonly shape: LlamaShape;
  readonly tokens: readonly number[];
  /** Whether `session` is the `prefill-statistics` graph, so that attention sums are gathered. */
  readonly statistics: boolean;
  readonly checkpoint: Checkpoint;
  /** Called with the logits `[n, vocabulary]` of every chunk, which costs a product with the whole vocabulary a token. */
  readonly onLogits?: (logits: Float32Array) => void;
}

/** Reads a prefix chunk by chunk with a `prefill` or `prefill-statistics` session. */
export async function readPrefix(session: InferenceSession, options: ReadOptions): Promise<FullCache> {
  const { shape, tokens } = options;
  const cache = new FullCache(shape, tokens.length, options.statistics);
  for (let from = 0; from < tokens.length; from += PREFILL_CHUNK) {
    await options.checkpoint();
    const chunk = tokens.slice(from, from + PREFILL_CHUNK);
    const outputs = await session.run(feeds(cache, chunk, options));
    for (let layer = 0; layer < shape.layers; layer++) {
      cache.append(layer, data(outputs, IO.newKey(layer)), data(outputs, IO.newValue(layer)));
      if (options.statistics) addAttention(cache, layer, outputs);
    }
    cache.advance(chunk.length);
    options.onLogits?.(data(outputs, IO.logits));
  }
  return cache;
}

function feeds(cache: FullCache, chunk: readonly number[], options: ReadOptions): InferenceSession.FeedsType {
  const { layers, kvHeads, queryHeads, headSize } = cache.shape;
  const n = chunk.length;
  const group = queryHeads / kvHeads;
  const rows = options.onLogits !== undefined ? chunk.map((_, row) => row) : [];
  const feed: Record<string, Tensor> = {
    [IO.tokens]: integers(chunk, [n]),
    [IO.positions]: integers(
      chunk.map((_, i) => cache.length + i),
      [1, n],
    ),
    [IO.tailBias]: new Tensor('float32', tailBias(group, n, 0), [group * n, n]),
    [IO.logitRows]: integers(rows, [rows.length]),
  };
  if (options.statistics) {
    feed[IO.queryWeight] = new Tensor('float32', new Float32Array(group * n).fill(1), [1, group * n]);
  }
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

function addAttention(cache: FullCache, layer: number, outputs: InferenceSession.ReturnType): void {
  for (let head = 0; head < cache.shape.kvHeads; head++) {
    const total = cache.attention[layer * cache.shape.kvHeads + head] as Float32Array;
    const sums = data(outputs, IO.attentionSum(layer, head));
    for (let i = 0; i < sums.length; i++) total[i]! += sums[i]!;
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
