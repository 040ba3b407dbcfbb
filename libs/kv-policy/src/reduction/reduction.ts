import type { Combine, HeadPlan, HeadStatistics, StatisticsNeeded } from '../plan.js';

/** How a KV head's T entries become n. */
export interface Reduction {
  /** The statistics it reads, beside the score, `entries` and `mass`. */
  readonly needs: Partial<StatisticsNeeded>;
  /** Whether it may keep less than it is asked to; it is then asked for T entries too. Default false. */
  readonly mayKeepLess?: boolean;
  /** A plan of `entries` kept entries, 1 <= entries < T (<= T where it may keep less). `score` is `[T]`. */
  reduce(head: HeadStatistics, score: Float32Array, entries: number): HeadPlan;
}

/** For plans whose kept entries all stand alone; log-mass stays on for sources that were merged earlier. */
export const STAND_ALONE: Combine = { sigma: 1, values: 'mean', logMass: true };

/** Width of the Gaussian kernel, in units of key distance (KVMerger's setting). */
export const SIGMA = 5;

/** For merged entries that say by their logit how many tokens they stand for. */
export const LOG_MASS: Combine = { sigma: SIGMA, values: 'mean', logMass: true };

/** The plan that keeps all of `entries` as they are. */
export function keepAll(entries: number): HeadPlan {
  const target = Int32Array.from({ length: entries }, (_, i) => i);
  return { entries, target, pivot: target.slice(), combine: STAND_ALONE, strays: { to: 'nowhere' } };
}
