import type { CountedBatch } from './batches.service.js';

/** OpenAI's Batch object; what a batch does not have is null. `compression` is Longhaul's own. */
export const toBatchObject = ({ batch, counts, usage }: CountedBatch) => ({
  id: batch.id,
  object: 'batch',
  endpoint: batch.endpoint,
  model: batch.model ?? null,
  errors: batch.errors ? { object: 'list', data: batch.errors } : null,
  input_file_id: batch.input_file_id,
  completion_window: batch.completion_window,
  status: batch.status,
  output_file_id: batch.output_file_id ?? null,
  error_file_id: batch.error_file_id ?? null,
  created_at: batch.created_at,
  in_progress_at: batch.in_progress_at ?? null,
  expires_at: batch.expires_at ?? null,
  finalizing_at: batch.finalizing_at ?? null,
  completed_at: batch.completed_at ?? null,
  failed_at: batch.failed_at ?? null,
  expired_at: batch.status === 'expired' ? (batch.expired_at ?? null) : null,
  cancelling_at: batch.cancelling_at ?? null,
  cancelled_at: batch.cancelled_at ?? null,
  request_counts: counts,
  usage: {
    input_tokens: usage.input,
    input_tokens_details: { cached_tokens: usage.cached },
    output_tokens: usage.output,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: usage.input + usage.output,
  },
  metadata: batch.metadata ?? null,
  compression: batch.compression ?? null,
});
