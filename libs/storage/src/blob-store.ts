import type { Readable } from 'node:stream';

/** What was stored. */
export interface StoredBlob {
  readonly key: string;
  readonly bytes: number;
  /** Lower-case hex. */
  readonly sha256: string;
}

/**
 * Where documents, batch files, plans and outputs live. Also the injection token of its adapter.
 *
 * Guaranteed: a blob is there whole or not at all (readers never see a partial write); writing a key again replaces it.
 * Deliberately not here: names, purposes, expiry, listings for users; those belong to the records that refer to a blob.
 */
export abstract class BlobStore {
  /** Stores under `key`. Throws `BlobTooLargeError` when `maxBytes` is passed; nothing stays then. */
  abstract put(key: string, source: Readable | Buffer | string, options?: { maxBytes?: number }): Promise<StoredBlob>;
  /** Stores under a key made from the content's sha256; equal contents share one blob. */
  abstract putContent(source: Readable | Buffer, options?: { maxBytes?: number }): Promise<StoredBlob>;
  /** Streams a blob, or `[start, end]` of it, both inclusive. Throws `BlobNotFoundError`. */
  abstract open(key: string, range?: { start: number; end: number }): Promise<Readable>;
  /** The whole blob. Throws `BlobNotFoundError`. */
  abstract read(key: string): Promise<Buffer>;
  /** Size in bytes, or undefined where there is none. */
  abstract size(key: string): Promise<number | undefined>;
  abstract delete(key: string): Promise<void>;
  /** Keys directly below a prefix that were written before a time (ms), for finding what no record refers to. */
  abstract writtenBefore(prefix: string, milliseconds: number): AsyncIterable<string>;
}
