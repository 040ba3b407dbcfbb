import { randomUUID } from 'node:crypto';

/** OpenAI's File object, and where its bytes are. */
export interface FileRecord {
  readonly id: string;
  readonly filename: string;
  readonly purpose: FilePurpose;
  readonly bytes: number;
  /** Unix seconds. */
  readonly created_at: number;
  readonly blobKey: string;
}

export type FilePurpose = 'batch' | 'batch_output' | 'user_data';

/** A new file's id. */
export const newFileId = (): string => `file-${randomUUID().replaceAll('-', '')}`;

/** Where a file's bytes live: a blob of its own, so that taking back one upload can never touch another's. */
export const fileBlobKey = (fileId: string): string => `files/${fileId}`;

/** Keeps file records. Also the injection token of its Redis adapter. */
export abstract class FileStore {
  abstract create(record: FileRecord): Promise<void>;
  abstract get(id: string): Promise<FileRecord | undefined>;
}
