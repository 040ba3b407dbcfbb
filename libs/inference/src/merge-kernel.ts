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
  const sets = listMembers(target, entries);
  const mass = new Float32Array(entries);
  for (let i = 0; i < target.length; i++) if (target[i] !== DROPPED) mass[target[i]!]! += source.mass[i]!;
  const keys = new Float32Array(entries * headSize);
  const values = new Float32Array(entries * headSize);
  const kept = { keys, values, mass, logMass: plan.combine.logMass ? mass.map(Math.log) : new Float32Array(entries) };
  copyLone(sets, source, headSize, kept);
  mergeSets(plan, sets, source, headSize, kept);
  placeStrays(plan, source, headSize, kept);
  return kept;
}

/** The members of all sets as linked lists, in source order. */
interface SetMembers {
  /** `[M]` first member of each set, `NONE` for a set without members. */
  readonly first: Int32Array;
  /** `[T]` next member of the same set, or `NONE`. */
  readonly next: Int32Array;
}

const NONE = -1;

function listMembers(target: Int32Array, entries: number): SetMembers {
  const first = new Int32Array(entries).fill(NONE);
  const next = new Int32Array(target.length);
  for (let i = target.length - 1; i >= 0; i--) {
    const set = target[i]!;
    if (set === DROPPED) continue;
    next[i] = first[set]!;
    first[set] = i;
  }
  return { first, next };
}

/** Copies entries that stand alone, neighbours that stay neighbours at once. */
function copyLone({ first, next }: SetMembers, source: SourceEntries, headSize: number, kept: HeadEntries): void {
  for (let set = 0, end = 0; set < first.length; set = end) {
    end = set + 1;
    const from = first[set]!;
    if (next[from] !== NONE) continue;
    while (end < first.length && first[end] === from + end - set && next[first[end]!] === NONE) end++;
    const to = from + end - set;
    kept.keys.set(source.keys.subarray(from * headSize, to * headSize), set * headSize);
    kept.values.set(source.values.subarray(from * headSize, to * headSize), set * headSize);
  }
}

/** Fills in the means of the sets with several members. */
function mergeSets(plan: HeadPlan, sets: SetMembers, source: SourceEntries, headSize: number, kept: HeadEntries): void {
  const { first, next } = sets;
  const { keys, values, mass } = source;
  const weight = new Float64Array(next.length);
  const [rows, keyWeights, valueWeights] = [new Int32Array(4), new Float64Array(4), new Float64Array(4)];
  for (let set = 0; set < first.length; set++) {
    if (next[first[set]!] === NONE) continue;
    const perSum = 1 / weigh(plan, set, sets, source, headSize, weight);
    // A value counted before is the sum over its tokens already, and the set's is one over all of them.
    const count = plan.combine.values === 'count' ? kept.mass[set]! : 0;
    const to = set * headSize;
    let i = first[set]!;
    // Four members at a time, the last less with weights of 0: a quarter of the reads and writes of the sums.
    while (i !== NONE) {
      for (let member = 0; member < 4; member++) {
        rows[member] = i === NONE ? rows[0]! : i * headSize;
        const x = i === NONE ? 0 : weight[i]! * perSum;
        keyWeights[member] = i === NONE ? 0 : x * mass[i]!;
        valueWeights[member] = count > 0 ? x * count : keyWeights[member]!;
        if (i !== NONE) i = next[i]!;
      }
      addFourRows(kept.keys, to, keys, rows, keyWeights, headSize);
      addFourRows(kept.values, to, values, rows, valueWeights, headSize);
    }
  }
}

/** Fills in the Gaussian of each member of a set; returns the sum of mass x Gaussian. */
function weigh(
  { pivot, combine }: HeadPlan,
  set: number,
  { first, next }: SetMembers,
  { keys, mass }: SourceEntries,
  headSize: number,
  weight: Float64Array,
): number {
  const exponent = -1 / (2 * combine.sigma * combine.sigma);
  const p = pivot[set]!;
  let sum = 0;
  // Two members at a time: sums of their own, which do not wait for each other.
  for (let i = first[set]!; i !== NONE; ) {
    const j = next[i]! === NONE ? i : next[i]!;
    let distanceI = 0;
    let distanceJ = 0;
    for (let d = 0; d < headSize; d++) {
      const key = keys[p * headSize + d]!;
      const differenceI = key - keys[i * headSize + d]!;
      const differenceJ = key - keys[j * headSize + d]!;
      distanceI += differenceI * differenceI;
      distanceJ += differenceJ * differenceJ;
    }
    // The pivot's own weight is 1, so the sum is above 0 even where all others underflow.
    weight[i] = Math.exp(exponent * distanceI);
    sum += weight[i]! * mass[i]!;
    if (j === i) break;
    weight[j] = Math.exp(exponent * distanceJ);
    sum += weight[j]! * mass[j]!;
    i = next[j]!;
  }
  return sum;
}

/** out[to..] += the four rows that begin there, by their weights */
function addFourRows(
  out: Float32Array,
  to: number,
  rows: Float32Array,
  from: Int32Array,
  weights: Float64Array,
  size: number,
): void {
  const [a, b, c, d] = [from[0]!, from[1]!, from[2]!, from[3]!];
  const [w, x, y, z] = [weights[0]!, weights[1]!, weights[2]!, weights[3]!];
  for (let i = 0; i < size; i++) {
    out[to + i]! += w * rows[a + i]! + x * rows[b + i]! + (y * rows[c + i]! + z * rows[d + i]!);
  }
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
  // Two at a time: sums of their own, which do not wait for each other.
  for (let i = 0; i + 1 < entries; i += 2) {
    const here = i * headSize;
    const next = here + headSize;
    // The last may be alone; it is then taken twice.
    const second = i + 2 < entries ? next + headSize : next;
    let dot = 0;
    let secondDot = 0;
    let nextNorm = 0;
    let secondNorm = 0;
    for (let d = 0; d < headSize; d++) {
      const value = keys[next + d]!;
      const secondValue = keys[second + d]!;
      dot += keys[here + d]! * value;
      secondDot += value * secondValue;
      nextNorm += value * value;
      secondNorm += secondValue * secondValue;
    }
    out[i] = cosine(dot, squaredNorm, nextNorm);
    if (i + 2 < entries) out[i + 1] = cosine(secondDot, nextNorm, secondNorm);
    squaredNorm = secondNorm;
  }
}

function cosine(dot: number, squaredNorm: number, otherSquaredNorm: number): number {
  const norms = Math.sqrt(squaredNorm * otherSquaredNorm);
  return norms > 0 ? dot / norms : 0;
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
