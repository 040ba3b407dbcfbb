import type { BlobStore } from '@app/storage';
import type { BatchStore } from './batch-record.js';
import { extractedTextKey } from './extracted-texts.js';
import { FILE_BLOBS, type FileRecord, type FileStore } from './file-record.js';
import { ApiError } from './openai-error.js';
import { COMPLETION_BODIES } from './queues.js';

/** Removes files: record, bytes and extracted text. What a crash leaves half-done the next sweep finishes. */
export class FileRemover {
  constructor(
    private readonly files: FileStore,
    private readonly batches: BatchStore,
    private readonly blobs: BlobStore,
  ) {}

  /** @throws ApiError 404 where there is no such file, 409 where a batch that has not ended uses it */
  async remove(id: string): Promise<void> {
    const users = await this.withdraw(id);
    if (!users) throw ApiError.noSuchFile(id);
    if (users.length > 0) throw inUse(id, users);
  }

  /** Removes the files whose time has come and that nobody uses, and what of others was left behind. */
  async sweep(unixSeconds: number): Promise<void> {
    for (const id of await this.files.expired(unixSeconds)) await this.withdraw(id);
    for (const file of await this.files.withdrawn()) await this.erase(file);
  }

  /**
   * Removes blobs that no record refers to, as their process was killed between the two: files, and bodies of completions.
   * Where there is no record at all nothing is removed: then this is another Redis, or one that lost its data.
   * @param writtenBefore milliseconds; far enough back that nobody is still about to write the record
   */
  async sweepOrphans(writtenBefore: number): Promise<void> {
    if ((await this.files.list({ limit: 1, order: 'asc' }))?.files.length === 0) return;
    const withdrawn = new Set((await this.files.withdrawn()).map(({ blobKey }) => blobKey));
    for await (const key of this.blobs.writtenBefore(FILE_BLOBS, writtenBefore)) {
      const id = key.slice(FILE_BLOBS.length + 1);
      if (!withdrawn.has(key) && !(await this.files.get(id))) await this.blobs.delete(key);
    }
    for await (const key of this.blobs.writtenBefore(COMPLETION_BODIES, writtenBefore)) await this.blobs.delete(key);
  }

  /** The batches that use the file; empty where it is removed, undefined where there is none. */
  private async withdraw(id: string): Promise<string[] | undefined> {
    for (;;) {
      const found = await this.files.withdraw(id);
      if (!found) return undefined;
      if (found.heldBy.length === 0) {
        await this.erase(found.file);
        return [];
      }
      const unfinished = new Set(await this.batches.unfinished());
      const users = found.heldBy.filter((batch) => unfinished.has(batch));
      await this.files.release(
        id,
        found.heldBy.filter((batch) => !unfinished.has(batch)),
      );
      if (users.length > 0) return users;
    }
  }

  private async erase({ id, blobKey, sha256 }: FileRecord): Promise<void> {
    await this.blobs.delete(blobKey);
    // Another file of the same content has its text extracted again.
    await this.blobs.delete(extractedTextKey(sha256));
    await this.files.forget(id);
  }
}

function inUse(id: string, [first, ...more]: readonly string[]): ApiError {
  const others = more.length > 0 ? ` and ${more.length} more` : '';
  return new ApiError(
    409,
    'invalid_request_error',
    `File '${id}' is in use by batch '${first}'${others}. Wait for its end or cancel it, then delete the file.`,
    'id',
    'file_in_use',
  );
}
