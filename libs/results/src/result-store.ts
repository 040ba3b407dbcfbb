import type { ItemResult, TokenUsage } from './item-result.js';

/** Counters of one batch; they move with the items in one atomic step. */
export interface ResultCounts {
  readonly total: number;
  readonly completed: number;
  readonly failed: number;
}

/** What `record` did. */
export interface Recorded {
  /** False: another run had recorded this item before; its result stands. */
  readonly first: boolean;
  readonly counts: ResultCounts;
}

/** Message published for every recorded item. */
export interface ProgressEvent {
  readonly batchId: string;
  readonly index: number;
  readonly customId: string | null;
  readonly ok: boolean;
  readonly counts: ResultCounts;
}

/** Gathers results item by item. Also the injection token of its Redis adapter. */
export abstract class ResultStore {
  /** Declares how many items the batch has. Idempotent. */
  abstract expect(batchId: string, total: number): Promise<void>;
  /** Records an item's terminal result. First writer wins; counters and the progress event move with it (one Lua script). */
  abstract record(batchId: string, index: number, result: ItemResult): Promise<Recorded>;
  /** Which of `indices` are recorded already. */
  abstract recorded(batchId: string, indices: readonly number[]): Promise<Set<number>>;
  abstract counts(batchId: string): Promise<ResultCounts>;
  /** Of all items that were answered. */
  abstract usage(batchId: string): Promise<TokenUsage>;
  abstract get(batchId: string, index: number): Promise<ItemResult | undefined>;
  /** All results in index order, read in slices so that a batch never has to fit in memory. */
  abstract all(batchId: string): AsyncIterable<{ index: number; result: ItemResult }>;
  /** Runs of a group that began; bounds attempts independently of BullMQ's own count. Returns the new count. */
  abstract beginAttempt(batchId: string, group: string): Promise<number>;
  /** Calls back for every progress event of a batch until the returned function is called. */
  abstract subscribe(batchId: string, listener: (event: ProgressEvent) => void): Promise<() => Promise<void>>;
  /** Lets the batch's keys expire after a retention time. */
  abstract expire(batchId: string, seconds: number): Promise<void>;
}
