import type { Score } from './score.js';

/** The later, the more worth: with the first entries kept as sinks, StreamingLLM (arXiv 2309.17453). */
export const recency: Score = {
  needs: {},
  of: (head) => Float32Array.from({ length: head.entries }, (_, i) => i),
};
