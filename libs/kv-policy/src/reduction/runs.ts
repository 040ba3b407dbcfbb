import type { Combine, HeadPlan, HeadStatistics } from '../plan.js';

/**
 * Turns joined adjacent pairs into merging sets: every run of joined pairs is one, its pivot the member with the largest
 * score, of equals the first.
 * @param joined `[T - 1]`: 1 where entry i + 1 belongs to the set of entry i, T - `entries` of them
 */
export function planRuns(
  head: HeadStatistics,
  score: Float32Array,
  entries: number,
  joined: Uint8Array,
  combine: Combine,
): HeadPlan {
  const target = new Int32Array(head.entries);
  const pivot = new Int32Array(entries);
  let set = 0;
  for (let i = 1; i < head.entries; i++) {
    if (joined[i - 1] === 0) pivot[++set] = i;
    else if (score[i]! > score[pivot[set]!]!) pivot[set] = i;
    target[i] = set;
  }
  return { entries, target, pivot, combine, strays: { to: 'nowhere' } };
}
