import type { HeadStatistics } from '../plan.js';
import type { Score } from './score.js';

/**
 * Scores the tokens that entries stand for and adds the scores of each entry's tokens up, so that an entry that was merged
 * before counts as much as its tokens would: neighbourhoods are measured in tokens, and what a merged entry received is
 * spread evenly over its own. Where no entry was merged, the score itself.
 */
export function byToken(score: Score): Score {
  return {
    needs: score.needs,
    of(head) {
      const ends = tokenEnds(head);
      const tokens = ends[head.entries - 1] ?? 0;
      if (tokens === head.entries) return score.of(head);
      const ofTokens = score.of(spread(head, ends, tokens));
      const sums = new Float32Array(head.entries);
      for (let entry = 0, token = 0; entry < head.entries; entry++) {
        for (; token < ends[entry]!; token++) sums[entry]! += ofTokens[token]!;
      }
      return sums;
    },
  };
}

/** `[T]` tokens that entry i and those before it stand for. */
function tokenEnds({ entries, mass }: HeadStatistics): Int32Array {
  const ends = new Int32Array(entries);
  for (let i = 0, tokens = 0; i < entries; i++) ends[i] = tokens += mass[i]!;
  return ends;
}

function spread(head: HeadStatistics, ends: Int32Array, tokens: number): HeadStatistics {
  const attention = Object.fromEntries(
    Object.entries(head.attention).map(([kind, received]) => {
      const perToken = new Float32Array(tokens);
      for (let entry = 0, token = 0; entry < head.entries; entry++) {
        const value = received[entry]! / head.mass[entry]!;
        for (; token < ends[entry]!; token++) perToken[token] = value;
      }
      return [kind, perToken];
    }),
  );
  return { entries: tokens, attention, similarity: new Float32Array(0), mass: new Float32Array(tokens).fill(1) };
}
