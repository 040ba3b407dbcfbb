import type { EndsOf } from './ends.js';
import { markKept, planKept } from './evict.js';
import type { Reduction } from './reduction.js';

/**
 * Evicts, and adds the values of evicted entries to those of the `reach` kept entries that follow (CaM, ICML 2024): in
 * equal parts, each evicted value with weight min(1, its score / mean score of those that take it).
 *
 * Published is a coin thrown with that probability; the weight is its mean, so that a plan stays deterministic.
 */
export function spreadEvicted(ends: EndsOf, reach: number): Reduction {
  return {
    needs: {},
    reduce(head, score, entries) {
      const kept = markKept(head.entries, score, entries, ends);
      const weight = spreadWeights(kept, score, entries, reach);
      return planKept(kept, entries, { to: 'following', reach, weight });
    },
  };
}

/** `[T]` weight with which each evicted value is added to each of its takers; 0 for kept entries. */
function spreadWeights(kept: Uint8Array, score: Float32Array, entries: number, reach: number): Float32Array {
  // Sums of the kept scores from the left give the sum over any run of kept entries.
  const sums = new Float64Array(entries + 1);
  let next = 0;
  for (let i = 0; i < kept.length; i++) if (kept[i] === 1) sums[next + 1] = sums[next++]! + score[i]!;

  const weight = new Float32Array(kept.length);
  next = 0;
  for (let i = 0; i < kept.length; i++) {
    if (kept[i] === 1) {
      next++;
      continue;
    }
    const takers = Math.min(reach, entries - next);
    if (takers === 0 || !(score[i]! > 0)) continue;
    const mean = (sums[next + takers]! - sums[next]!) / takers;
    // Takers without attention are worth less than anything: all of the value is theirs.
    weight[i] = (mean > 0 ? Math.min(1, score[i]! / mean) : 1) / takers;
  }
  return weight;
}
