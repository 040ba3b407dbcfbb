import type { Score } from './score.js';

/**
 * The largest score among an entry and its neighbours, so that a whole phrase is kept for one attended word (the SnapKV
 * paper's choice, arXiv 2404.14469, section 4.2; its code averages).
 * @param width entries looked at, odd
 */
export function largestAround(score: Score, width: number): Score {
  return {
    needs: score.needs,
    of(head) {
      const values = score.of(head);
      const reach = (width - 1) / 2;
      const largest = new Float32Array(head.entries);
      // Indices whose values fall from front to back: only they can still be the largest of a window to come.
      const falling = new Int32Array(head.entries);
      let front = 0;
      let back = 0;
      for (let next = 0, i = 0; i < head.entries; i++) {
        for (; next <= Math.min(i + reach, head.entries - 1); next++) {
          while (back > front && values[falling[back - 1]!]! <= values[next]!) back--;
          falling[back++] = next;
        }
        if (falling[front]! < i - reach) front++;
        largest[i] = values[falling[front]!]!;
      }
      return largest;
    },
  };
}
