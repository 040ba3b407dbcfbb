import type { Readable } from 'node:stream';
import { ApiError, type FilePage, type FileQuery, type FileRecord, FileRemover, FileStore } from '@app/batches';
import { Config } from '@app/config';
import { BlobStore } from '@app/storage';
import { Injectable } from '@nestjs/common';
import type { UploadedBlob } from './blob-upload.js';
import type { ByteRange } from './byte-range.js';
import type { CreateFileDto } from './create-file.dto.js';

const MAX_FILENAME_LENGTH = 255;
const SECONDS_A_DAY = 24 * 3600;

@Injectable()
export class FilesService {
  constructor(
    private readonly config: Config,
    private readonly blobs: BlobStore,
    private readonly files: FileStore,
    private readonly remover: FileRemover,
  ) {}

  /** Makes a file of what was uploaded, or removes it again where it cannot be one. */
  async create(upload: UploadedBlob | undefined, { purpose, expires_after }: CreateFileDto): Promise<FileRecord> {
    if (!upload) throw ApiError.missing('file');
    try {
      const created_at = Math.floor(Date.now() / 1000);
      // As OpenAI's: batch files do not stay for ever unless asked to.
      const lifetime = expires_after?.seconds ?? (purpose === 'batch' ? this.config.retentionDays * SECONDS_A_DAY : 0);
      const record: FileRecord = {
        id: upload.fileId,
        filename: upload.originalname.slice(0, MAX_FILENAME_LENGTH),
        purpose,
        bytes: upload.bytes,
        created_at,
        ...(lifetime > 0 && { expires_at: created_at + lifetime }),
        blobKey: upload.blobKey,
        sha256: upload.sha256,
      };
      this.checkSize(record);
      await this.files.create(record);
      return record;
    } catch (error) {
      await this.blobs.delete(upload.blobKey);
      throw error;
    }
  }

  /** Throws a 404 `ApiError` where there is none. */
  async get(id: string): Promise<FileRecord> {
    const record = await this.files.get(id);
    if (!record) throw ApiError.noSuchFile(id);
    return record;
  }

  /** Throws a 400 `ApiError` where `after` is no file. */
  async list(query: FileQuery): Promise<FilePage> {
    const page = await this.files.list(query);
    if (page) return page;
    throw ApiError.invalid(`Invalid 'after': there is no file with the id '${query.after}'.`, 'after', 'invalid_value');
  }

  async open({ blobKey }: FileRecord, range: ByteRange | undefined): Promise<Readable> {
    return this.blobs.open(blobKey, range);
  }

  /** Throws an `ApiError`: 404 where there is none, 409 where a batch uses it. */
  async delete(id: string): Promise<void> {
    await this.remover.remove(id);
  }

  private checkSize({ bytes, purpose }: FileRecord): void {
    if (bytes === 0) throw ApiError.invalid('The file is empty.', 'file', 'empty_file');
    const max = this.config.maxBatchFileBytes;
    if (purpose === 'batch' && bytes > max) {
      throw new ApiError(
        413,
        'invalid_request_error',
        `The file has ${bytes} bytes; a batch file has at most ${max}. Split the batch.`,
        'file',
        'request_too_large',
      );
    }
  }
}
