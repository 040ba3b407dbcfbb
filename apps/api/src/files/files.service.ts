import type { Readable } from 'node:stream';
import { ApiError, type FilePurpose, type FileRecord, FileStore } from '@app/batches';
import { Config } from '@app/config';
import { BlobStore } from '@app/storage';
import { Injectable } from '@nestjs/common';
import type { UploadedBlob } from './blob-upload.js';

/** Purposes a client may give; `batch_output` is ours. */
const UPLOAD_PURPOSES: readonly FilePurpose[] = ['batch', 'user_data'];
const MAX_FILENAME_LENGTH = 255;

@Injectable()
export class FilesService {
  constructor(
    private readonly config: Config,
    private readonly blobs: BlobStore,
    private readonly files: FileStore,
  ) {}

  /** Makes a file of what was uploaded, or removes it again where it cannot be one. */
  async create(upload: UploadedBlob | undefined, fields: Record<string, unknown> | undefined): Promise<FileRecord> {
    if (!upload) throw missing('file');
    try {
      const record: FileRecord = {
        id: upload.fileId,
        filename: upload.originalname.slice(0, MAX_FILENAME_LENGTH),
        purpose: uploadPurpose(fields?.['purpose']),
        bytes: upload.bytes,
        created_at: Math.floor(Date.now() / 1000),
        blobKey: upload.blobKey,
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
    if (!record) throw ApiError.notFound(`No such File object: ${id}`, 'id');
    return record;
  }

  async content(id: string): Promise<{ record: FileRecord; stream: Readable }> {
    const record = await this.get(id);
    return { record, stream: await this.blobs.open(record.blobKey) };
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

function uploadPurpose(value: unknown): FilePurpose {
  if (value === undefined) throw missing('purpose');
  const purpose = UPLOAD_PURPOSES.find((known) => known === value);
  if (purpose) return purpose;
  const known = UPLOAD_PURPOSES.map((name) => `'${name}'`).join(' or ');
  throw ApiError.invalid(`Invalid 'purpose': must be ${known}.`, 'purpose', 'invalid_value');
}

const missing = (field: string): ApiError =>
  ApiError.invalid(
    `Missing required parameter: '${field}'. Send multipart/form-data with the fields file and purpose.`,
    field,
    'missing_required_parameter',
  );
