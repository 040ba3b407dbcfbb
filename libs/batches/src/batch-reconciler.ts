import type { Cancellations, ResultStore } from '@app/results';
import type { BlobStore } from '@app/storage';
import type { BatchJobs } from './batch-jobs.js';
import { type BatchRecord, type BatchStore, endsEarly } from './batch-record.js';
import { readPlanManifest } from './plan-manifest.js';

/**
 * Queues again what got lost between a batch's record and its jobs: a process may die after it wrote the one and before
 * it queued the other. Any number of workers may run it at any time, because queueing twice is the same as once.
 */
export class BatchReconciler {
  /** Items recorded at the last look, by batch: one that moves has lost nothing. */
  private seen = new Map<string, number>();

  constructor(
    private readonly batches: BatchStore,
    private readonly results: ResultStore,
    private readonly blobs: BlobStore,
    private readonly jobs: BatchJobs,
    private readonly cancellations: Cancellations,
  ) {}

  /** One look at all batches that have not ended. */
  async reconcile(): Promise<void> {
    const seen = new Map<string, number>();
    for (const batchId of await this.batches.unfinished()) {
      const batch = await this.batches.get(batchId);
      if (!batch) continue;
      if (isOverdue(batch)) await this.expire(batchId);
      if (isOverdue(batch) || endsEarly(batch)) {
        await this.jobs.endEarly(batch);
        continue;
      }
      const { status } = batch;
      if (status === 'validating') await this.jobs.plan(batchId);
      if (status === 'finalizing') await this.jobs.finalize(batchId);
      if (status !== 'in_progress') continue;
      const { total, completed, failed } = await this.results.counts(batchId);
      seen.set(batchId, completed + failed);
      if (completed + failed >= total) await this.jobs.finalize(batchId);
      else if (this.seen.get(batchId) === completed + failed) await this.requeueGroups(batchId);
    }
    this.seen = seen;
  }

  /** Stops whoever works on it. */
  private async expire(batchId: string): Promise<void> {
    const now = Math.floor(Date.now() / 1000);
    const change = { status: 'finalizing', finalizing_at: now, expired_at: now } as const;
    if (await this.batches.transition(batchId, ['validating', 'in_progress'], change)) {
      await this.cancellations.cancel(batchId);
    }
  }

  private async requeueGroups(batchId: string): Promise<void> {
    const manifest = await readPlanManifest(this.blobs, batchId);
    if (!manifest) return this.jobs.plan(batchId);
    // A long prefill records nothing for minutes. While the queue has work, what got lost can wait for its end.
    if (await this.jobs.hasGroups(manifest.model)) return;
    for (let group = 0; group < manifest.groups; group++) await this.jobs.answerGroup(manifest.model, batchId, group);
  }
}

const isOverdue = ({ status, expires_at }: BatchRecord): boolean =>
  (status === 'validating' || status === 'in_progress') && expires_at !== undefined && expires_at * 1000 <= Date.now();
