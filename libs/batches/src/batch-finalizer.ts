import { type ResultStore, writeOutputFiles } from '@app/results';
import type { BlobStore, StoredBlob } from '@app/storage';
import { type BatchJobs, groupPlanKey } from './batch-jobs.js';
import { type BatchRecord, type BatchStore, endsEarly } from './batch-record.js';
import { type FileStore, fileBlobKey } from './file-record.js';
import type { GroupPlan } from './group-plan.js';
import { unansweredItem } from './item-outcome.js';
import { deletePlanManifest, readPlanManifest } from './plan-manifest.js';

/** Ends batches: writes their files and lets go of what only running them needed. */
export class BatchFinalizer {
  constructor(
    private readonly batches: BatchStore,
    private readonly files: FileStore,
    private readonly results: ResultStore,
    private readonly blobs: BlobStore,
    private readonly jobs: BatchJobs,
    /** How long results stay in Redis once their files are written, and these files where nothing else was asked. */
    private readonly retentionSeconds: number,
  ) {}

  /**
   * Ends the batch where all its items are recorded, or where it was cancelled or expired, else does nothing. May be run
   * again at any point.
   */
  async finalize(batchId: string): Promise<void> {
    const batch = await this.ready(batchId);
    if (!batch) return;
    // Ids that follow from the batch's, so that a second run writes the same files and not others.
    const outputId = `file-${batchId}-output`;
    const errorsId = `file-${batchId}-errors`;
    const keys = { output: fileBlobKey(outputId), errors: fileBlobKey(errorsId) };
    const { output, errors } = await writeOutputFiles(this.results, this.blobs, batchId, keys);
    const lifetime = batch.output_expires_after?.seconds ?? this.retentionSeconds;
    if (output) await this.register(outputId, `${batchId}_output.jsonl`, output, lifetime);
    if (errors) await this.register(errorsId, `${batchId}_error.jsonl`, errors, lifetime);
    await this.results.expire(batchId, this.retentionSeconds);
    await this.deletePlans(batchId);
    await this.jobs.tellEnd(batchId);
    await this.batches.transition(batchId, [batch.status], {
      ...ENDINGS[endsEarly(batch) ?? 'completed'](),
      ...(output && { output_file_id: outputId }),
      ...(errors && { error_file_id: errorsId }),
    });
  }

  /** The batch, once there is nothing left to answer. */
  private async ready(batchId: string): Promise<BatchRecord | undefined> {
    const batch = await this.batches.get(batchId);
    const ending = batch && endsEarly(batch);
    if (ending) {
      if (batch.status !== 'cancelling' && batch.status !== 'finalizing') return undefined;
      await this.closeOpenItems(batchId, ending);
      return batch;
    }
    const { total, completed, failed } = await this.results.counts(batchId);
    if (total === 0 || completed + failed < total) return undefined;
    await this.batches.transition(batchId, ['in_progress'], { status: 'finalizing', finalizing_at: unixSeconds() });
    const finalizing = await this.batches.get(batchId);
    return finalizing?.status === 'finalizing' ? finalizing : undefined;
  }

  /** Records every item that has no result as not answered; a worker's answer that comes later is not taken. */
  private async closeOpenItems(batchId: string, ending: 'cancelled' | 'expired'): Promise<void> {
    const manifest = await readPlanManifest(this.blobs, batchId);
    for (let group = 0; group < (manifest?.groups ?? 0); group++) {
      const { items } = JSON.parse((await this.blobs.read(groupPlanKey(batchId, group))).toString()) as GroupPlan;
      const indices = items.map(({ index }) => index);
      const recorded = await this.results.recorded(batchId, indices);
      for (const { index, customId } of items) {
        if (!recorded.has(index)) await this.results.record(batchId, index, unansweredItem(customId, ending));
      }
    }
  }

  private async register(id: string, filename: string, blob: StoredBlob, lifetime: number): Promise<void> {
    const { key: blobKey, bytes, sha256 } = blob;
    const created_at = unixSeconds();
    const expires_at = created_at + lifetime;
    await this.files.create({ id, filename, purpose: 'batch_output', bytes, created_at, expires_at, blobKey, sha256 });
  }

  /** The manifest first: without it no plan counts, and a batch that ended while it was planned has none. */
  private async deletePlans(batchId: string): Promise<void> {
    await deletePlanManifest(this.blobs, batchId);
    let groups = 0;
    while ((await this.blobs.size(groupPlanKey(batchId, groups))) !== undefined) groups++;
    // From behind, so that a run that dies leaves none behind a gap.
    while (groups-- > 0) await this.blobs.delete(groupPlanKey(batchId, groups));
  }
}

const ENDINGS = {
  completed: (): Partial<BatchRecord> => ({ status: 'completed', completed_at: unixSeconds() }),
  cancelled: (): Partial<BatchRecord> => ({ status: 'cancelled', cancelled_at: unixSeconds() }),
  /** `expired_at` says when the time was up. */
  expired: (): Partial<BatchRecord> => ({ status: 'expired' }),
};

const unixSeconds = (): number => Math.floor(Date.now() / 1000);
