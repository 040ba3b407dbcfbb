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
  const { nearest, similarity } = findNearest(
    unitKeys(source.keys, dropped, headSize),
    unitKeys(source.keys, plan.pivot, headSize),
    entries,
    headSize,
  );
  const least = threshold === 'mean' ? meanOf(similarity.subarray(0, dropped.length)) : threshold;

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

/** Rows compared in one go, so that each value of the other side is read once for all of them. */
const ROWS = 4;

/** `[rows.length, headSize]`, rows of zeros added up to a multiple of `ROWS`: keys at length 1, a key of zeros as it is. */
function unitKeys(keys: Float32Array, rows: Int32Array, headSize: number): Float32Array {
  const unit = new Float32Array(Math.ceil(rows.length / ROWS) * ROWS * headSize);
  for (let row = 0; row < rows.length; row++) {
    const from = rows[row]! * headSize;
    let squaredLength = 0;
    for (let d = 0; d < headSize; d++) squaredLength += keys[from + d]! * keys[from + d]!;
    const scale = squaredLength > 0 ? 1 / Math.sqrt(squaredLength) : 0;
    for (let d = 0; d < headSize; d++) unit[row * headSize + d] = keys[from + d]! * scale;
  }
  return unit;
}

interface Nearest {
  /** Row of the pivot, the first of equally near ones. */
  readonly nearest: Int32Array;
  readonly similarity: Float64Array;
}

/** For each row of `lost` the row of `pivots` with the largest dot product, among the first `entries`. */
function findNearest(lost: Float32Array, pivots: Float32Array, entries: number, headSize: number): Nearest {
  const rows = lost.length / headSize;
  const nearest = new Int32Array(rows);
  const similarity = new Float64Array(rows).fill(Number.NEGATIVE_INFINITY);
  for (let row = 0; row < rows; row += ROWS) {
    const a = row * headSize;
    const b = a + headSize;
    const c = b + headSize;
    const d = c + headSize;
    for (let set = 0; set < entries; set++) {
      const from = set * headSize;
      let dotA = 0;
      let dotB = 0;
      let dotC = 0;
      let dotD = 0;
      for (let at = 0; at < headSize; at++) {
        const value = pivots[from + at]!;
        dotA += value * lost[a + at]!;
        dotB += value * lost[b + at]!;
        dotC += value * lost[c + at]!;
        dotD += value * lost[d + at]!;
      }
      if (dotA > similarity[row]!) [similarity[row], nearest[row]] = [dotA, set];
      if (dotB > similarity[row + 1]!) [similarity[row + 1], nearest[row + 1]] = [dotB, set];
      if (dotC > similarity[row + 2]!) [similarity[row + 2], nearest[row + 2]] = [dotC, set];
      if (dotD > similarity[row + 3]!) [similarity[row + 3], nearest[row + 3]] = [dotD, set];
    }
  }
  return { nearest, similarity };
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
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
