import { Readable } from 'node:stream';
import { ApiError, FileStore, fileBlobKey, newFileId } from '@app/batches';
import { Config } from '@app/config';
import { BlobStore, BlobTooLargeError } from '@app/storage';
import { Injectable } from '@nestjs/common';
import { FilesService } from '../files/files.service.js';
import type { FiledDocument } from './job-lines.js';
import type { JobDocument } from './job-parts.js';

const SECONDS_A_DAY = 24 * 3600;

/** The files that a job is made of. */
@Injectable()
export class JobFiles {
  constructor(
    private readonly config: Config,
    private readonly blobs: BlobStore,
    private readonly store: FileStore,
    private readonly files: FilesService,
  ) {}

  /** Runs `make`; removes what it has written if it fails. */
  async keepIf<T>(make: (written: string[]) => Promise<T>): Promise<T> {
    const written: string[] = [];
    try {
      return await make(written);
    } catch (error) {
      // The error that is told is the one that came first; what stays expires by itself.
      await Promise.allSettled(written.map((id) => this.files.delete(id)));
      throw error;
    }
  }

  /** The documents as files; those that came with the request are written and go when batch files do. */
  async documents(documents: readonly JobDocument[], written: string[]): Promise<FiledDocument[]> {
    const filed: FiledDocument[] = [];
    for (const [i, { id, source }] of documents.entries()) {
      if ('fileId' in source) await this.assertDocument(source.fileId, `documents[${i}]`);
      const fileId =
        'fileId' in source ? source.fileId : await this.write(source.filename, 'user_data', source.bytes, written);
      filed.push({ id, fileId });
    }
    return filed;
  }

  /**
   * Writes the batch file of a job as its lines are made.
   * @throws ApiError (413) where a batch file may not be so long
   */
  async batchFile(lines: Iterable<string>, written: string[]): Promise<string> {
    const most = this.config.maxBatchFileBytes;
    try {
      return await this.write('job.jsonl', 'batch', Readable.from(lines), written, most);
    } catch (error) {
      if (!(error instanceof BlobTooLargeError)) throw error;
      const found = `The job is a batch file of more than ${most} bytes. Shorten what each item repeats, or split it.`;
      throw new ApiError(413, 'invalid_request_error', found, null, 'request_too_large');
    }
  }

  private async write(
    filename: string,
    purpose: 'batch' | 'user_data',
    content: Buffer | Readable,
    written: string[],
    maxBytes = this.config.maxFileBytes,
  ): Promise<string> {
    const fileId = newFileId();
    const { key, bytes, sha256 } = await this.blobs.put(fileBlobKey(fileId), content, { maxBytes });
    const expires_after = { anchor: 'created_at', seconds: this.config.retentionDays * SECONDS_A_DAY } as const;
    await this.files.create(
      { fileId, blobKey: key, bytes, sha256, originalname: filename },
      { purpose, expires_after },
    );
    written.push(fileId);
    return fileId;
  }

  private async assertDocument(fileId: string, param: string): Promise<void> {
    const file = await this.store.get(fileId);
    if (!file) throw ApiError.noSuchFile(fileId, param);
    if (file.purpose === 'user_data') return;
    const found = `Invalid '${param}': file '${fileId}' has purpose '${file.purpose}'; a document needs 'user_data'.`;
    throw ApiError.invalid(found, param, 'invalid_file_purpose');
  }
}
