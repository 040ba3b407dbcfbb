import { DROPPED, type HeadPlan } from '@app/kv-policy';
import { placeStrays } from './stray-kernel.js';

/** One KV head's entries as they lie in the cache. The arrays may be longer than T entries; the rest is not read. */
export interface SourceEntries {
  /** `[T, headSize]`, after RoPE. */
  readonly keys: Float32Array;
  /** `[T, headSize]` */
  readonly values: Float32Array;
  /** `[T]` tokens each entry stands for, at least 1. */
  readonly mass: Float32Array;
}

/** One KV head's kept entries: arrays of exactly M entries. */
export interface HeadEntries {
  /** `[M, headSize]` */
  readonly keys: Float32Array;
  /** `[M, headSize]` */
  readonly values: Float32Array;
  /** `[M]` added to the entry's attention logits; all 0 where the plan does not want it. */
  readonly logMass: Float32Array;
  /** `[M]` tokens each entry stands for. */
  readonly mass: Float32Array;
}

/**
 * Applies a plan to the keys and values of one KV head (KVMerger, arXiv 2407.08454). The reference for kernels on
 * other devices.
 *
 * Members of a set are averaged with weights m_i exp(-|k_p - k_i|^2 / (2 sigma^2)), m_i being the tokens that entry i
 * stands for. An entry that stands alone comes out as it was. With `values: 'count'` values are sums over tokens
 * instead of means, those of sources that were merged before included. Then dropped entries go where the plan says.
 *
 * The pivot of every kept entry must be a member of its set. The source is left as it was.
 */
export function applyPlan(plan: HeadPlan, source: SourceEntries, headSize: number): HeadEntries {
  const { target, entries } = plan;
  checkSource(source, target.length, headSize);
  const members = new Int32Array(entries);
  const mass = new Float32Array(entries);
  for (let i = 0; i < target.length; i++) {
    const set = target[i]!;
    if (set === DROPPED) continue;
    members[set]!++;
    mass[set]! += source.mass[i]!;
  }
  const keys = new Float32Array(entries * headSize);
  const values = new Float32Array(entries * headSize);
  copyLone(plan, source, headSize, members, keys, values);
  mergeSets(plan, source, headSize, members, mass, keys, values);
  const kept = { keys, values, mass, logMass: plan.combine.logMass ? mass.map(Math.log) : new Float32Array(entries) };
  placeStrays(plan, source, headSize, kept);
  return kept;
}

/** Copies entries that stand alone, neighbours that stay neighbours at once. */
function copyLone(
  { target }: HeadPlan,
  source: SourceEntries,
  headSize: number,
  members: Int32Array,
  keys: Float32Array,
  values: Float32Array,
): void {
  for (let from = 0, to = 0; from < target.length; from = to) {
    const set = target[from]!;
    to = from + 1;
    if (set === DROPPED || members[set] !== 1) continue;
    while (to < target.length && target[to] === set + to - from && members[set + to - from] === 1) to++;
    keys.set(source.keys.subarray(from * headSize, to * headSize), set * headSize);
    values.set(source.values.subarray(from * headSize, to * headSize), set * headSize);
  }
}

/** Fills in the means of the sets with several members: weighted sums in place, then divided by the weights. */
function mergeSets(
  { target, pivot, entries, combine }: HeadPlan,
  source: SourceEntries,
  headSize: number,
  members: Int32Array,
  mass: Float32Array,
  keys: Float32Array,
  values: Float32Array,
): void {
  const count = combine.values === 'count';
  const exponent = -1 / (2 * combine.sigma * combine.sigma);
  const weightSum = new Float64Array(entries);
  for (let i = 0; i < target.length; i++) {
    const set = target[i]!;
    if (set === DROPPED || members[set] === 1) continue;
    const p = pivot[set]!;
    const from = i * headSize;
    // The pivot's own weight is 1, so a set's sum is above 0 even where all others underflow.
    const gauss = p === i ? 1 : Math.exp(exponent * squaredDistance(source.keys, p * headSize, from, headSize));
    const weight = gauss * source.mass[i]!;
    weightSum[set]! += weight;
    const to = set * headSize;
    // A value counted before is the sum over its tokens already.
    const valueWeight = count ? gauss : weight;
    for (let d = 0; d < headSize; d++) {
      keys[to + d]! += weight * source.keys[from + d]!;
      values[to + d]! += valueWeight * source.values[from + d]!;
    }
  }
  for (let set = 0; set < entries; set++) {
    if (members[set] === 1) continue;
    const keyScale = 1 / weightSum[set]!;
    const valueScale = count ? keyScale * mass[set]! : keyScale;
    for (let at = set * headSize; at < (set + 1) * headSize; at++) {
      keys[at]! *= keyScale;
      values[at]! *= valueScale;
    }
  }
}

function squaredDistance(keys: Float32Array, a: number, b: number, headSize: number): number {
  let sum = 0;
  for (let d = 0; d < headSize; d++) {
    const difference = keys[a + d]! - keys[b + d]!;
    sum += difference * difference;
  }
  return sum;
}

/**
 * Writes the cosine similarity of the keys of entries i and i + 1 to `out` `[entries - 1]`; 0 where a key is all zeros.
 * @param keys `[entries, headSize]`, may be longer
 */
export function adjacentSimilarity(keys: Float32Array, entries: number, headSize: number, out: Float32Array): void {
  if (keys.length < entries * headSize || out.length < entries - 1) {
    throw new RangeError(
      `Expected keys of ${entries} x ${headSize} values and room for ${entries - 1} similarities, ` +
        `found ${keys.length} and ${out.length}.`,
    );
  }
  let squaredNorm = firstSquaredNorm(keys, headSize);
  for (let i = 0; i + 1 < entries; i++) {
    const here = i * headSize;
    const next = here + headSize;
    let dot = 0;
    let nextSquaredNorm = 0;
    for (let d = 0; d < headSize; d++) {
      const value = keys[next + d]!;
      dot += keys[here + d]! * value;
      nextSquaredNorm += value * value;
    }
    const norms = Math.sqrt(squaredNorm * nextSquaredNorm);
    out[i] = norms > 0 ? dot / norms : 0;
    squaredNorm = nextSquaredNorm;
  }
}

function firstSquaredNorm(keys: Float32Array, headSize: number): number {
  let sum = 0;
  for (let d = 0; d < headSize; d++) sum += keys[d]! * keys[d]!;
  return sum;
}

function checkSource({ keys, values, mass }: SourceEntries, entries: number, headSize: number): void {
  const needed = entries * headSize;
  if (keys.length < needed || values.length < needed || mass.length < entries) {
    throw new RangeError(
      `Expected ${entries} entries of ${headSize} values, ` +
        `found ${keys.length} key values, ${values.length} values and ${mass.length} masses.`,
    );
  }
}
