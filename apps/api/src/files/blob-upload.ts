import { fileBlobKey, newFileId } from '@app/batches';
import type { BlobStore } from '@app/storage';
import type { Request } from 'express';
import type { StorageEngine } from 'multer';

/** What arrived: the id its file will have, and where its bytes are. */
export interface UploadedBlob {
  readonly fileId: string;
  readonly blobKey: string;
  readonly bytes: number;
  readonly sha256: string;
  readonly originalname: string;
}

/** Multer's storage: the bytes go to the blob store as they arrive, each upload under a key of its own. */
export class BlobUpload implements StorageEngine {
  constructor(
    private readonly blobs: BlobStore,
    private readonly maxBytes: number,
  ) {}

  _handleFile(
    _request: Request,
    file: Express.Multer.File,
    done: (error?: unknown, info?: Partial<Express.Multer.File>) => void,
  ): void {
    const fileId = newFileId();
    this.blobs.put(fileBlobKey(fileId), file.stream, { maxBytes: this.maxBytes }).then(
      ({ key, bytes, sha256 }) => done(null, { fileId, blobKey: key, bytes, sha256 } as Partial<Express.Multer.File>),
      (error: unknown) => done(error),
    );
  }

  /** Multer calls this for what had arrived of a request that failed later. */
  _removeFile(_request: Request, file: Express.Multer.File, done: (error: Error | null) => void): void {
    const { blobKey } = file as unknown as Partial<UploadedBlob>;
    const deleted = blobKey === undefined ? Promise.resolve() : this.blobs.delete(blobKey);
    deleted.then(() => done(null), done);
  }
}
