import type { BatchRecord } from './batch-record.js';

/** OpenAI's webhook event about the end of a batch. */
export interface BatchEvent {
  /** Follows from the batch and how it ended, so that a receiver knows an event that comes twice. */
  readonly id: string;
  readonly object: 'event';
  /** Unix seconds. */
  readonly created_at: number;
  readonly type: `batch.${'completed' | 'failed' | 'expired' | 'cancelled'}`;
  readonly data: { readonly id: string };
}

/** Undefined while it goes on. */
export function batchEvent(batch: BatchRecord): BatchEvent | undefined {
  const { id, status } = batch;
  if (status !== 'completed' && status !== 'failed' && status !== 'expired' && status !== 'cancelled') return undefined;
  return {
    id: `evt_${id}_${status}`,
    object: 'event',
    created_at: batch[`${status}_at`] ?? batch.created_at,
    type: `batch.${status}`,
    data: { id },
  };
}
