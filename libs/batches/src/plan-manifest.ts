import { BlobNotFoundError, type BlobStore } from '@app/storage';

/** Says that a batch's plans are complete. */
export interface PlanManifest {
  /** Model whose queue the groups go to. */
  readonly model: string;
  /** Group plans written, numbered from 0. */
  readonly groups: number;
}

const manifestKey = (batchId: string): string => `plans/${batchId}/manifest.json`;

/** Undefined while the batch is not planned to the end. */
export async function readPlanManifest(blobs: BlobStore, batchId: string): Promise<PlanManifest | undefined> {
  try {
    return JSON.parse((await blobs.read(manifestKey(batchId))).toString()) as PlanManifest;
  } catch (error) {
    if (error instanceof BlobNotFoundError) return undefined;
    throw error;
  }
}

export async function writePlanManifest(blobs: BlobStore, batchId: string, manifest: PlanManifest): Promise<void> {
  await blobs.put(manifestKey(batchId), JSON.stringify(manifest));
}

export async function deletePlanManifest(blobs: BlobStore, batchId: string): Promise<void> {
  await blobs.delete(manifestKey(batchId));
}
