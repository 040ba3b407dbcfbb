import { type ResultStore, writeOutputFiles } from '@app/results';
import type { BlobStore, StoredBlob } from '@app/storage';
import { groupPlanKey } from './batch-jobs.js';
import type { BatchStore } from './batch-record.js';
import { type FileStore, fileBlobKey } from './file-record.js';
import { deletePlanManifest, readPlanManifest } from './plan-manifest.js';

/** Ends batches: writes their files and lets go of what only running them needed. */
export class BatchFinalizer {
  constructor(
    private readonly batches: BatchStore,
    private readonly files: FileStore,
    private readonly results: ResultStore,
    private readonly blobs: BlobStore,
    /** How long results stay in Redis once their files are written, and these files where nothing else was asked. */
    private readonly retentionSeconds: number,
  ) {}

  /** Ends the batch where all its items are recorded, else does nothing. May be run again at any point. */
  async finalize(batchId: string): Promise<void> {
    const { total, completed, failed } = await this.results.counts(batchId);
    if (total === 0 || completed + failed < total) return;
    await this.batches.transition(batchId, ['in_progress'], { status: 'finalizing', finalizing_at: unixSeconds() });
    const batch = await this.batches.get(batchId);
    if (batch?.status !== 'finalizing') return;

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
    await this.batches.transition(batchId, ['finalizing'], {
      status: 'completed',
      completed_at: unixSeconds(),
      ...(output && { output_file_id: outputId }),
      ...(errors && { error_file_id: errorsId }),
    });
  }

  private async register(id: string, filename: string, blob: StoredBlob, lifetime: number): Promise<void> {
    const { key: blobKey, bytes, sha256 } = blob;
    const created_at = unixSeconds();
    const expires_at = created_at + lifetime;
    await this.files.create({ id, filename, purpose: 'batch_output', bytes, created_at, expires_at, blobKey, sha256 });
  }

  private async deletePlans(batchId: string): Promise<void> {
    const manifest = await readPlanManifest(this.blobs, batchId);
    if (!manifest) return;
    for (let group = 0; group < manifest.groups; group++) await this.blobs.delete(groupPlanKey(batchId, group));
    await deletePlanManifest(this.blobs, batchId);
  }
}

const unixSeconds = (): number => Math.floor(Date.now() / 1000);
