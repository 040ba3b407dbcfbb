import { DROPPED, type HeadPlan } from '@app/kv-policy';

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
 * instead of means, those of sources that were merged before included.
 *
 * The pivot of every kept entry must be a member of its set. The source is left as it was.
 */
export function applyPlan(plan: HeadPlan, source: SourceEntries, headSize: number): HeadEntries {
  const { target, entries } = plan;
  checkSource(source, target.length, headSize);
  const { keys, values } = source;
  const weight = new Float64Array(target.length);
  const weightSum = new Float64Array(entries);
  const mass = new Float32Array(entries);
  weigh(plan, source, headSize, weight, weightSum, mass);

  const count = plan.combine.values === 'count';
  const keptKeys = new Float32Array(entries * headSize);
  const keptValues = new Float32Array(entries * headSize);
  for (let i = 0; i < target.length; i++) {
    const set = target[i]!;
    if (set === DROPPED) continue;
    const share = weight[i]! / weightSum[set]!;
    const keyWeight = share * source.mass[i]!;
    const valueWeight = count ? share * mass[set]! : keyWeight;
    const from = i * headSize;
    const to = set * headSize;
    for (let d = 0; d < headSize; d++) {
      keptKeys[to + d]! += keyWeight * keys[from + d]!;
      keptValues[to + d]! += valueWeight * values[from + d]!;
    }
  }
  const logMass = plan.combine.logMass ? mass.map(Math.log) : new Float32Array(entries);
  return { keys: keptKeys, values: keptValues, logMass, mass };
}

/** Fills weight `[T]` (the Gaussian alone), and per set `[M]` the sum of mass x weight and the mass. */
function weigh(
  { target, pivot, combine }: HeadPlan,
  { keys, mass: sourceMass }: SourceEntries,
  headSize: number,
  weight: Float64Array,
  weightSum: Float64Array,
  mass: Float32Array,
): void {
  const exponent = -1 / (2 * combine.sigma * combine.sigma);
  for (let i = 0; i < target.length; i++) {
    const set = target[i]!;
    if (set === DROPPED) continue;
    const p = pivot[set]!;
    // The pivot's own weight is 1, so a set's sum is above 0 even where all others underflow.
    const g = p === i ? 1 : Math.exp(exponent * squaredDistance(keys, p * headSize, i * headSize, headSize));
    weight[i] = g;
    weightSum[set]! += g * sourceMass[i]!;
    mass[set]! += sourceMass[i]!;
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
