import type { Score } from './score.js';

/**
 * Averages a score over an entry and its neighbours, so that the words around an attended one are kept with it
 * (SnapKV, arXiv 2404.14469). Neighbours beyond the ends count as 0, as in the published code.
 * @param width entries averaged over, odd
 */
export function pooled(score: Score, width: number): Score {
  return {
    needs: score.needs,
    of(head) {
      const values = score.of(head);
      const reach = (width - 1) / 2;
      const means = new Float32Array(head.entries);
      for (let i = 0; i < head.entries; i++) {
        const to = Math.min(i + reach, head.entries - 1);
        let sum = 0;
        for (let j = Math.max(i - reach, 0); j <= to; j++) sum += values[j]!;
        means[i] = sum / width;
      }
      return means;
    },
  };
}
