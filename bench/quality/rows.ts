import type { Reading } from '@app/inference';
import type { Family } from './datasets.js';
import type { QualityMode } from './prompts.js';

/** One sample under one policy, as the bench writes it. */
export interface QualityRow {
  /** Its name, with `, merging` behind it where the prefix was read merging. */
  readonly policy: string;
  /** Asked share of the cache; 1 for `full`. */
  readonly budget: number;
  readonly mode: QualityMode;
  readonly family: Family;
  readonly dataset: string;
  /** Of the sample. */
  readonly id: string;
  /** In [0, 1], by the benchmark's own metric, of the answer this policy's cache gives. */
  readonly score: number;
  /** Mean KL divergence from the full cache along the full cache's greedy answer, nats; 0 for `full`. */
  readonly kl: number;
  /** Share of that answer's positions whose most likely token is the full cache's. */
  readonly agreement: number;
  /** Bytes held over the full cache's. */
  readonly bytes_share: number;
  /** Time of compressing, statistics gathered for it and a copy of the read cache included, over the time of the prefill. */
  readonly compress_share_of_prefill: number;
  /** Time of reading the prefix over that of reading it exactly. */
  readonly prefill_ratio: number;
  /** Bytes held while the prefix is read over those held while it is read exactly. */
  readonly reading_bytes_share: number;
}

/** What a row says of its policy. */
export const rowPolicy = (policy: string, reading: Reading): string =>
  reading === 'merging' ? `${policy}, merging` : policy;

/** Key of the work that a row is the result of: what is there already need not be done again. */
export const rowKey = ({ policy, budget, mode, id }: Pick<QualityRow, 'policy' | 'budget' | 'mode' | 'id'>): string =>
  `${policy} ${budget} ${mode} ${id}`;
