import type { Policy } from '@app/kv-policy';
import { IO, type LlamaShape } from '@app/onnx-graph';
import { Tensor } from 'onnxruntime-node';
import type { FullCache } from './full-cache.js';
import { adjacentSimilarity, applyPlan, type HeadEntries } from './merge-kernel.js';

/** What stays of one KV head: the mass only as what the graph adds to the logits. */
export type HeldHead = Omit<HeadEntries, 'mass'>;

/** A compressed cache: every layer and KV head at its own length, held at that size. */
export interface HeldPrefix {
  /** Length of the sequence the cache stands for; also the next position. */
  readonly tokens: number;
  /** One a layer and KV head, at `layer * kvHeads + head`. */
  readonly heads: readonly HeldHead[];
  /** What the decode graph is fed, made once. */
  readonly feeds: Readonly<Record<string, Tensor>>;
}

/** Bytes of one entry of one KV head: key, value and log-mass as float32. */
export const entryBytes = (headSize: number): number => (2 * headSize + 1) * Float32Array.BYTES_PER_ELEMENT;

/** Entries kept, mean over layers and KV heads. */
export function meanEntries({ heads }: HeldPrefix): number {
  return heads.reduce((sum, head) => sum + head.logMass.length, 0) / heads.length;
}

/** Bytes really held by keys, values and masses. */
export function heldBytes({ heads }: HeldPrefix): number {
  return heads.reduce((sum, head) => sum + head.keys.byteLength + head.values.byteLength + head.logMass.byteLength, 0);
}

/**
 * Compresses a cache head by head. The full cache is used up: each head's arrays are let go as soon as they are merged.
 * @throws InvalidBudgetError
 */
export function compress(cache: FullCache, policy: Policy, budget: number): HeldPrefix {
  const { shape, tokens } = cache;
  const entries = policy.allocate({ tokens, layers: shape.layers, kvHeads: shape.kvHeads }, budget);
  const mass = new Float32Array(tokens).fill(1);
  const similarity = new Float32Array(policy.needs.similarity ? Math.max(tokens - 1, 0) : 0);
  const heads = cache.keys.map((keys, index): HeldHead => {
    const values = cache.values[index] as Float32Array;
    const attention = { all: cache.attention[index] as Float32Array };
    if (policy.exact && (entries[index] as number) >= tokens)
      return { keys, values, logMass: new Float32Array(tokens) };
    if (policy.needs.similarity) adjacentSimilarity(keys, tokens, shape.headSize, similarity);
    const plan = policy.plan({ entries: tokens, attention, similarity, mass }, entries[index] as number);
    const kept = applyPlan(plan, { keys, values, mass }, shape.headSize);
    release(cache, index);
    return { keys: kept.keys, values: kept.values, logMass: kept.logMass };
  });
  return holdPrefix(shape, tokens, heads);
}

function release(cache: FullCache, index: number): void {
  for (const list of [cache.keys, cache.values, cache.attention]) list[index] = new Float32Array(0);
}

/** Holds given heads, one a layer and KV head, as the cache of a sequence of `tokens`. */
export function holdPrefix(shape: LlamaShape, tokens: number, heads: readonly HeldHead[]): HeldPrefix {
  const feeds: Record<string, Tensor> = {};
  for (const [index, { keys, values, logMass }] of heads.entries()) {
    const [layer, head] = [Math.floor(index / shape.kvHeads), index % shape.kvHeads];
    const dims = [logMass.length, shape.headSize];
    feeds[IO.prefixKey(layer, head)] = new Tensor('float32', keys, dims);
    feeds[IO.prefixValue(layer, head)] = new Tensor('float32', values, dims);
    feeds[IO.prefixLogMass(layer, head)] = new Tensor('float32', logMass, [logMass.length]);
  }
  return { tokens, heads, feeds };
}
