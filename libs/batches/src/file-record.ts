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

/** Keeps file records. Also the injection token of its Redis adapter. */
export abstract class FileStore {
  abstract create(record: FileRecord): Promise<void>;
  abstract get(id: string): Promise<FileRecord | undefined>;
}
