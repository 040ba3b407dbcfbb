import type { Score } from './score.js';

/** Attention summed over all queries and over the query heads of the KV head (H2O, arXiv 2306.14048). */
export const accumulatedAttention: Score = {
  needs: { attention: ['all'] },
  of: (head) => head.attention.all as Float32Array,
};
