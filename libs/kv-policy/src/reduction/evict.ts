import { markLargest } from '../mark-largest.js';
import { DROPPED, type HeadPlan, type Strays } from '../plan.js';
import type { EndsOf } from './ends.js';
import { type Reduction, STAND_ALONE } from './reduction.js';

/**
 * Keeps the ends and, of the other entries, those with the largest score; drops the rest. Of equal scores the earlier
 * entry is kept.
 */
export function evict(ends: EndsOf): Reduction {
  return {
    needs: {},
    reduce: (head, score, entries) => planKept(markKept(head.entries, score, entries, ends), entries),
  };
}

/** `[T]`: 1 for the ends and for the largest scores between them, `entries` in all. */
export function markKept(sources: number, score: Float32Array, entries: number, ends: EndsOf): Uint8Array {
  const { sinks, recent } = ends(entries);
  const recentFrom = sources - recent;
  const kept = new Uint8Array(sources).fill(1);
  kept.set(markLargest(score.subarray(sinks), recentFrom - sinks, entries - sinks - recent), sinks);
  return kept;
}

/** The plan in which every marked entry stands alone and the others are strays. */
export function planKept(kept: Uint8Array, entries: number, strays: Strays = { to: 'nowhere' }): HeadPlan {
  const target = new Int32Array(kept.length).fill(DROPPED);
  const pivot = new Int32Array(entries);
  let next = 0;
  for (let i = 0; i < kept.length; i++) {
    if (kept[i] === 0) continue;
    target[i] = next;
    pivot[next++] = i;
  }
  return { entries, target, pivot, combine: STAND_ALONE, strays };
}
