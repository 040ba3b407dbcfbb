import type { AttentionKind } from '../plan.js';
import type { Score } from './score.js';

/** The attention an entry received, summed over the queries of that kind and over the query heads of the KV head. */
export function receivedAttention(kind: AttentionKind): Score {
  return {
    needs: { attention: [kind] },
    of: (head) => head.attention[kind] as Float32Array,
  };
}
