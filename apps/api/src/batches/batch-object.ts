import type { BatchRecord } from '@app/batches';
import type { ResultCounts } from '@app/results';

/** OpenAI's Batch object; what a batch does not have is null, its expiry always: no batch expires. `compression` is Longhaul's own. */
export const toBatchObject = (batch: BatchRecord, request_counts: ResultCounts) => ({
  id: batch.id,
  object: 'batch',
  endpoint: batch.endpoint,
  errors: batch.errors ? { object: 'list', data: batch.errors } : null,
  input_file_id: batch.input_file_id,
  completion_window: batch.completion_window,
  status: batch.status,
  output_file_id: batch.output_file_id ?? null,
  error_file_id: batch.error_file_id ?? null,
  created_at: batch.created_at,
  in_progress_at: batch.in_progress_at ?? null,
  expires_at: null,
  finalizing_at: batch.finalizing_at ?? null,
  completed_at: batch.completed_at ?? null,
  failed_at: batch.failed_at ?? null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts,
  metadata: batch.metadata ?? null,
  compression: batch.compression ?? null,
});
