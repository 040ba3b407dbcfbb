import { markLargest } from '../mark-largest.js';
import type { Combine } from '../plan.js';
import { LOG_MASS, type Reduction, SIGMA } from './reduction.js';
import { planRuns } from './runs.js';

/**
 * What a merged entry says of the tokens it stands for.
 * - `log`: log(tokens) is added to its attention logit: exact where the keys are equal
 * - `count`: its value is multiplied by the tokens, as published
 * - `none`: neither
 */
export const MASS_MODES = ['log', 'count', 'none'] as const;
export type MassMode = (typeof MASS_MODES)[number];

const COMBINE: Record<MassMode, Combine> = {
  log: LOG_MASS,
  count: { sigma: SIGMA, values: 'count', logMass: false },
  none: { sigma: SIGMA, values: 'mean', logMass: false },
};

/** Kept share from which the larger protected shares apply (published: 17 % + 12 % at 50 %, 8 % + 2 % at 35 %). */
const WIDE_BUDGET = 0.45;
const WIDE_SHARES = { recent: 0.17, attended: 0.12 };
const NARROW_SHARES = { recent: 0.08, attended: 0.02 };

/**
 * KVMerger (arXiv 2407.08454): adjacent pairs of unprotected entries are joined and every run of joined pairs is a
 * merging set, whose pivot is the member with the largest score. Protected are the most recent entries and those with
 * the largest score. Of equals the earlier comes first throughout.
 *
 * Without a threshold exactly the T - n most similar pairs are joined. With one, all pairs whose similarity exceeds it
 * are, as published, and further ones only where that keeps more than n: n is the most that comes out.
 */
export function mergeAdjacent(mass: MassMode, threshold?: number): Reduction {
  return {
    needs: { similarity: true },
    mayKeepLess: threshold !== undefined,
    reduce(head, score, entries) {
      const joinable = unprotectedPairs(head.entries, score, entries);
      const alike = threshold === undefined ? 0 : countAbove(threshold, head.similarity, joinable);
      const joins = Math.max(head.entries - entries, alike);
      const joined = markLargest(head.similarity, head.entries - 1, joins, joinable);
      return planRuns(head, score, head.entries - joins, joined, COMBINE[mass]);
    },
  };
}

function countAbove(threshold: number, similarity: Float32Array, joinable: Uint8Array): number {
  let count = 0;
  for (let i = 0; i < joinable.length; i++) if (joinable[i] === 1 && similarity[i]! > threshold) count++;
  return count;
}

/** `[T - 1]`: 1 where neither entry i nor i + 1 is protected. At least T - n of them, see `protectedCounts`. */
function unprotectedPairs(sources: number, score: Float32Array, entries: number): Uint8Array {
  const { recent, attended } = protectedCounts(sources, entries);
  const recentFrom = sources - recent;
  const top = markLargest(score, recentFrom, attended);
  const joinable = new Uint8Array(sources - 1);
  for (let i = 0; i + 1 < recentFrom; i++) joinable[i] = top[i] === 0 && top[i + 1] === 0 ? 1 : 0;
  return joinable;
}

/**
 * How many entries are protected for being recent and for their score, given T sources and n < T to keep.
 *
 * Why n is always reached: joining every unprotected pair leaves the protected entries and the runs between them. The
 * recent ones are one block at the end and each of the others splits one run at most, so recent + 2 attended + 1
 * entries are left. With recent + attended <= n / 2 that is at most n where attended < n / 2, and it is: the recent
 * share is the larger one, so attended <= recent, and recent = 0 leaves attended = 0.
 */
function protectedCounts(sources: number, entries: number): { recent: number; attended: number } {
  const shares = entries >= Math.floor(WIDE_BUDGET * sources) ? WIDE_SHARES : NARROW_SHARES;
  let recent = Math.floor(shares.recent * sources);
  let attended = Math.floor(shares.attended * sources);
  const limit = Math.floor(entries / 2);
  const wanted = recent + attended;
  if (wanted > limit) {
    recent = Math.floor((recent * limit) / wanted);
    attended = Math.floor((attended * limit) / wanted);
  }
  return { recent, attended };
}
