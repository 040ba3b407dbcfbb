import { randomUUID } from 'node:crypto';

/** OpenAI's File object, and where its bytes are. */
export interface FileRecord {
  readonly id: string;
  readonly filename: string;
  readonly purpose: FilePurpose;
  readonly bytes: number;
  /** Unix seconds. */
  readonly created_at: number;
  /** Unix seconds, after which it is removed once no running batch uses it; absent: it stays until it is deleted. */
  readonly expires_at?: number;
  readonly blobKey: string;
  /** Of the content, lower-case hex. */
  readonly sha256: string;
}

export const FILE_PURPOSES = ['batch', 'batch_output', 'user_data'] as const;
export type FilePurpose = (typeof FILE_PURPOSES)[number];

/** A new file's id. */
export const newFileId = (): string => `file-${randomUUID().replaceAll('-', '')}`;

/** Prefix of the keys of files' bytes. */
export const FILE_BLOBS = 'files';

/** Where a file's bytes live: a blob of its own, so that taking back one upload can never touch another's. */
export const fileBlobKey = (fileId: string): string => `${FILE_BLOBS}/${fileId}`;

/** Which files of a list to give. */
export interface FileQuery {
  readonly limit: number;
  /** By time of creation. */
  readonly order: 'asc' | 'desc';
  /** The file before the first one, of any purpose; absent: from the start. */
  readonly after?: string;
  readonly purpose?: FilePurpose;
}

export interface FilePage {
  readonly files: readonly FileRecord[];
  readonly hasMore: boolean;
}

/** What came of withdrawing a file: withdrawn where nobody holds it. */
export interface Withdrawal {
  readonly file: FileRecord;
  /** Batches that hold it, ended ones too. */
  readonly heldBy: readonly string[];
}

/**
 * Keeps file records. Also the injection token of its Redis adapter.
 *
 * A file is removed in two steps, because its bytes are elsewhere: withdrawn, which nobody sees half-done, and forgotten
 * once the bytes are gone. Deliberately not here: the bytes, and which batches still run.
 */
export abstract class FileStore {
  /** A record created again replaces the first and keeps its place in the list. */
  abstract create(record: FileRecord): Promise<void>;
  abstract get(id: string): Promise<FileRecord | undefined>;
  /** As `get`; from now on the file can't be withdrawn until the batch lets go of it. */
  abstract hold(id: string, batchId: string): Promise<FileRecord | undefined>;
  abstract release(id: string, batchIds: readonly string[]): Promise<void>;
  /** Undefined where `after` is no file and was none in the last day. */
  abstract list(query: FileQuery): Promise<FilePage | undefined>;
  /** Takes a file out of sight, atomically, unless batches hold it; undefined where there is none. */
  abstract withdraw(id: string): Promise<Withdrawal | undefined>;
  /** Files that are withdrawn and not forgotten. */
  abstract withdrawn(): Promise<FileRecord[]>;
  abstract forget(id: string): Promise<void>;
  /** Ids of files whose time has come. */
  abstract expired(unixSeconds: number): Promise<string[]>;
}
