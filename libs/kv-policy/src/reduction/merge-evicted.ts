import type { EndsOf } from './ends.js';
import { markKept, planKept } from './evict.js';
import type { Reduction } from './reduction.js';

/**
 * Evicts, and merges evicted entries into the kept one whose key is nearest by cosine, where that similarity is at least
 * the mean over all evicted entries (D2O, arXiv 2406.13035); the others are lost.
 */
export function mergeEvicted(ends: EndsOf): Reduction {
  return {
    needs: {},
    reduce(head, score, entries) {
      const kept = markKept(head.entries, score, entries, ends);
      return planKept(kept, entries, { to: 'nearest', threshold: 'mean' });
    },
  };
}
