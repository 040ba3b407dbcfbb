import { randomUUID } from 'node:crypto';
import type { CompressionRequest } from './compression.js';

/** States of OpenAI's Batch object. */
export type BatchStatus =
  | 'validating'
  | 'failed'
  | 'in_progress'
  | 'finalizing'
  | 'completed'
  | 'expired'
  | 'cancelling'
  | 'cancelled';

/** States that a batch does not leave again. */
export const ENDED_STATUSES: readonly BatchStatus[] = ['failed', 'completed', 'expired', 'cancelled'];

/** A new batch's id; letters, digits, `_` only, so that it can be a BullMQ job id. */
export const newBatchId = (): string => `batch_${randomUUID().replaceAll('-', '')}`;

/** What is kept of a batch; `request_counts` are not here but read from the results' counters. Times are Unix seconds. */
export interface BatchRecord {
  readonly id: string;
  readonly endpoint: string;
  /** That all its lines ask. */
  readonly model?: string;
  readonly input_file_id: string;
  readonly completion_window: string;
  readonly status: BatchStatus;
  readonly created_at: number;
  /** End of the completion window: what is not answered by then is not answered any more. */
  readonly expires_at?: number;
  readonly in_progress_at?: number;
  readonly finalizing_at?: number;
  readonly completed_at?: number;
  readonly failed_at?: number;
  /** Set when its time is up, before it is `expired`: what is complete is written first. */
  readonly expired_at?: number;
  readonly cancelling_at?: number;
  readonly cancelled_at?: number;
  readonly output_file_id?: string;
  readonly error_file_id?: string;
  readonly errors?: readonly BatchError[];
  readonly metadata?: Readonly<Record<string, string>>;
  /** When its output and error file expire, counted from their creation. */
  readonly output_expires_after?: ExpiresAfter;
  /** Batch-wide compression request; a line's own wins over it. */
  readonly compression?: CompressionRequest;
}

/** How a batch ends whose open items are not answered any more; undefined where it goes on. */
export const endsEarly = (batch: BatchRecord): 'cancelled' | 'expired' | undefined =>
  batch.status === 'cancelling' ? 'cancelled' : batch.expired_at !== undefined ? 'expired' : undefined;

/** OpenAI's `expires_after`. */
export interface ExpiresAfter {
  readonly anchor: 'created_at';
  readonly seconds: number;
}

/** Why a whole batch failed (OpenAI's `errors.data`). */
export interface BatchError {
  readonly code: string;
  readonly message: string;
  readonly param: string | null;
  readonly line: number | null;
}

/** Which batches of the list to give, newest first. */
export interface BatchQuery {
  readonly limit: number;
  /** The batch before the first one; absent: from the newest. */
  readonly after?: string;
}

export interface BatchPage {
  readonly batches: readonly BatchRecord[];
  readonly hasMore: boolean;
}

/** Keeps batch records. Also the injection token of its Redis adapter. */
export abstract class BatchStore {
  abstract create(record: BatchRecord): Promise<void>;
  abstract get(id: string): Promise<BatchRecord | undefined>;
  /** Undefined where `after` is no batch and was not listed as one in the last day. */
  abstract list(query: BatchQuery): Promise<BatchPage | undefined>;
  /** Changes fields only while the status is one of `from`, atomically; false where it was not (another run was first). */
  abstract transition(id: string, from: readonly BatchStatus[], change: Partial<BatchRecord>): Promise<boolean>;
  /** Ids of batches that have not ended, for the reconciler. */
  abstract unfinished(): Promise<string[]>;
}
