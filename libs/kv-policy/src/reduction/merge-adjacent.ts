import { markLargest } from '../mark-largest.js';
import type { Combine, HeadPlan, HeadStatistics } from '../plan.js';
import type { Reduction } from './reduction.js';

/**
 * What a merged entry says of the tokens it stands for.
 * - `log`: log(tokens) is added to its attention logit: exact where the keys are equal
 * - `count`: its value is multiplied by the tokens, as published
 * - `none`: neither
 */
export const MASS_MODES = ['log', 'count', 'none'] as const;
export type MassMode = (typeof MASS_MODES)[number];

/** Width of the Gaussian kernel, in units of key distance (KVMerger's setting). */
const SIGMA = 5;

const COMBINE: Record<MassMode, Combine> = {
  log: { sigma: SIGMA, values: 'mean', logMass: true },
  count: { sigma: SIGMA, values: 'count', logMass: false },
  none: { sigma: SIGMA, values: 'mean', logMass: false },
};

/** Kept share from which the larger protected shares apply (published: 17 % + 12 % at 50 %, 8 % + 2 % at 35 %). */
const WIDE_BUDGET = 0.45;
const WIDE_SHARES = { recent: 0.17, attended: 0.12 };
const NARROW_SHARES = { recent: 0.08, attended: 0.02 };

/**
 * KVMerger (arXiv 2407.08454) at an exact budget: the T - n most similar adjacent pairs of unprotected entries are
 * joined and every run of joined pairs is a merging set, whose pivot is the member with the largest score. Protected
 * are the most recent entries and those with the largest score. Of equals the earlier comes first throughout.
 */
export function mergeAdjacent(mass: MassMode): Reduction {
  return {
    needs: { similarity: true },
    reduce(head, score, entries) {
      const joinable = unprotectedPairs(head.entries, score, entries);
      const joined = markLargest(head.similarity, head.entries - 1, head.entries - entries, joinable);
      return planRuns(head, score, entries, joined, COMBINE[mass]);
    },
  };
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

/** Turns joined pairs (`[T - 1]`) into sets of consecutive entries. */
function planRuns(
  head: HeadStatistics,
  score: Float32Array,
  entries: number,
  joined: Uint8Array,
  combine: Combine,
): HeadPlan {
  const target = new Int32Array(head.entries);
  const pivot = new Int32Array(entries);
  let set = 0;
  for (let i = 1; i < head.entries; i++) {
    if (joined[i - 1] === 0) pivot[++set] = i;
    else if (score[i]! > score[pivot[set]!]!) pivot[set] = i;
    target[i] = set;
  }
  return { entries, target, pivot, combine };
}
