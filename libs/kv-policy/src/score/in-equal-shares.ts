import type { Score } from './score.js';

/** The sum of two scores, each divided by its own total: neither outweighs the other by its scale. */
export function inEqualShares(one: Score, other: Score): Score {
  return {
    needs: {
      attention: [...(one.needs.attention ?? []), ...(other.needs.attention ?? [])],
      similarity: one.needs.similarity === true || other.needs.similarity === true,
    },
    of(head) {
      const [a, b] = [one.of(head), other.of(head)];
      const [scaleA, scaleB] = [perTotal(a, head.entries), perTotal(b, head.entries)];
      const sum = new Float32Array(head.entries);
      for (let i = 0; i < head.entries; i++) sum[i] = a[i]! * scaleA + b[i]! * scaleB;
      return sum;
    },
  };
}

/** 1 / total; 0 where there is none. */
function perTotal(score: Float32Array, entries: number): number {
  let total = 0;
  for (let i = 0; i < entries; i++) total += score[i]!;
  return total > 0 ? 1 / total : 0;
}
