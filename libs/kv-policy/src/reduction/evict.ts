import { markLargest } from '../mark-largest.js';
import { DROPPED } from '../plan.js';
import { type Reduction, STAND_ALONE } from './reduction.js';

/**
 * Keeps the most recent entries and, of the others, those with the largest score; drops the rest. Of equal scores the
 * earlier entry is kept.
 * @param recent how many of the n kept entries are the most recent ones
 */
export function evict(recent: (entries: number) => number): Reduction {
  return {
    needs: {},
    reduce(head, score, entries) {
      const recentFrom = head.entries - recent(entries);
      const kept = markLargest(score, recentFrom, entries - recent(entries));
      const target = new Int32Array(head.entries).fill(DROPPED);
      const pivot = new Int32Array(entries);
      let next = 0;
      for (let i = 0; i < head.entries; i++) {
        if (i < recentFrom && kept[i] === 0) continue;
        target[i] = next;
        pivot[next++] = i;
      }
      return { entries, target, pivot, combine: STAND_ALONE };
    },
  };
}
