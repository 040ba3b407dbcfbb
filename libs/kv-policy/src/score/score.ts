import type { HeadStatistics, StatisticsNeeded } from '../plan.js';

/** What each entry of a KV head is worth. */
export interface Score {
  /** The statistics it reads, beside `entries` and `mass`. */
  readonly needs: Partial<StatisticsNeeded>;
  /** `[T]`, larger is worth more. */
  of(head: HeadStatistics): Float32Array;
}
