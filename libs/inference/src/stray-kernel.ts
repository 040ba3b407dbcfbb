import { DROPPED, type HeadPlan } from '@app/kv-policy';
import type { HeadEntries, SourceEntries } from './merge-kernel.js';

/** Puts the contents of dropped entries where the plan says; `kept` is changed in place. */
export function placeStrays(plan: HeadPlan, source: SourceEntries, headSize: number, kept: HeadEntries): void {
  const { strays } = plan;
  if (strays.to === 'nearest') mergeIntoNearest(plan, strays.threshold, source, headSize, kept);
  if (strays.to === 'following') addToFollowing(plan, strays, source, headSize, kept);
}

/**
 * Each dropped entry joins the kept one whose pivot's key is nearest by cosine, weights exp(similarity), the kept entry's
 * own e, both times the tokens they stand for (D2O). O(dropped x kept x headSize): at 8,192 tokens about a second a head.
 */
function mergeIntoNearest(
  plan: HeadPlan,
  threshold: number | 'mean',
  source: SourceEntries,
  headSize: number,
  kept: HeadEntries,
): void {
  const { target, entries } = plan;
  const dropped = Int32Array.from(target.keys()).filter((i) => target[i] === DROPPED);
  const pivots = unitKeys(source.keys, plan.pivot, headSize);
  const lost = unitKeys(source.keys, dropped, headSize);
  const nearest = new Int32Array(dropped.length);
  const similarity = new Float64Array(dropped.length);
  for (let i = 0; i < dropped.length; i++) {
    let best = Number.NEGATIVE_INFINITY;
    for (let set = 0; set < entries; set++) {
      const cosine = dot(lost, i * headSize, pivots, set * headSize, headSize);
      if (cosine > best) {
        best = cosine;
        nearest[i] = set;
      }
    }
    similarity[i] = best;
  }
  const least = threshold === 'mean' ? similarity.reduce((sum, s) => sum + s, 0) / dropped.length : threshold;

  const weightSum = new Float64Array(entries);
  for (let i = 0; i < dropped.length; i++) {
    if (!(similarity[i]! >= least)) continue;
    const set = nearest[i]!;
    const to = set * headSize;
    if (weightSum[set] === 0) {
      weightSum[set] = Math.E * kept.mass[set]!;
      for (let d = 0; d < headSize; d++) {
        kept.keys[to + d]! *= weightSum[set]!;
        kept.values[to + d]! *= weightSum[set]!;
      }
    }
    const from = dropped[i]! * headSize;
    const tokens = source.mass[dropped[i]!]!;
    const weight = Math.exp(similarity[i]!) * tokens;
    weightSum[set]! += weight;
    kept.mass[set]! += tokens;
    for (let d = 0; d < headSize; d++) {
      kept.keys[to + d]! += weight * source.keys[from + d]!;
      kept.values[to + d]! += weight * source.values[from + d]!;
    }
  }
  for (let set = 0; set < entries; set++) {
    if (weightSum[set] === 0) continue;
    for (let at = set * headSize; at < (set + 1) * headSize; at++) {
      kept.keys[at]! /= weightSum[set]!;
      kept.values[at]! /= weightSum[set]!;
    }
  }
}

/** `[rows.length, headSize]`: the keys of these entries at length 1; a key of zeros stays zeros. */
function unitKeys(keys: Float32Array, rows: Int32Array, headSize: number): Float32Array {
  const unit = new Float32Array(rows.length * headSize);
  for (let row = 0; row < rows.length; row++) {
    const from = rows[row]! * headSize;
    const length = Math.sqrt(dot(keys, from, keys, from, headSize));
    if (length === 0) continue;
    for (let d = 0; d < headSize; d++) unit[row * headSize + d] = keys[from + d]! / length;
  }
  return unit;
}

/** Four sums side by side, which the processor need not wait for in turn. */
function dot(a: Float32Array, aFrom: number, b: Float32Array, bFrom: number, size: number): number {
  let [s0, s1, s2, s3] = [0, 0, 0, 0];
  let d = 0;
  for (; d + 3 < size; d += 4) {
    s0 += a[aFrom + d]! * b[bFrom + d]!;
    s1 += a[aFrom + d + 1]! * b[bFrom + d + 1]!;
    s2 += a[aFrom + d + 2]! * b[bFrom + d + 2]!;
    s3 += a[aFrom + d + 3]! * b[bFrom + d + 3]!;
  }
  for (; d < size; d++) s0 += a[aFrom + d]! * b[bFrom + d]!;
  return s0 + s1 + s2 + s3;
}

/** Adds weight x value of each dropped entry to the next `reach` kept entries (CaM). */
function addToFollowing(
  { target, entries }: HeadPlan,
  { reach, weight }: { readonly reach: number; readonly weight: Float32Array },
  source: SourceEntries,
  headSize: number,
  kept: HeadEntries,
): void {
  // What each kept entry is the first to receive; the sum over a sliding window of these is what it receives in all.
  const arriving = new Float64Array(entries * headSize);
  let next = 0;
  for (let i = 0; i < target.length && next < entries; i++) {
    if (target[i] !== DROPPED) next = Math.max(next, target[i]! + 1);
    else if (weight[i] !== 0) {
      for (let d = 0; d < headSize; d++)
        arriving[next * headSize + d]! += weight[i]! * source.values[i * headSize + d]!;
    }
  }
  const window = new Float64Array(headSize);
  for (let set = 0; set < entries; set++) {
    for (let d = 0; d < headSize; d++) {
      const at = set * headSize + d;
      window[d]! += arriving[at]! - (set >= reach ? arriving[at - reach * headSize]! : 0);
      kept.values[at]! += window[d]!;
    }
  }
}
