import { createHash, randomUUID } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, open, opendir, readdir, readFile, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { Readable, Transform } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { BlobNotFoundError, BlobStorageError, BlobTooLargeError, InvalidBlobKeyError } from './blob-errors.js';
import { BlobStore, type StoredBlob } from './blob-store.js';

const MAX_KEY_LENGTH = 512;
/** A part that must begin with a letter or digit can be neither `..` nor the directory of unfinished writes. */
const KEY = /^[A-Za-z0-9][\w.-]*(?:\/[A-Za-z0-9][\w.-]*)*$/;
/** Unfinished writes, inside the store's own tree so that the rename that ends one never crosses file systems. */
const UNFINISHED = '.unfinished';
/** An unfinished write this old has lost its writer: the largest upload takes minutes. */
const ABANDONED_AFTER_MS = 24 * 3600 * 1000;

/** Blobs as files under one directory. */
export class FileSystemBlobStore extends BlobStore {
  /** @param root directory of the store, absolute; made when first written to */
  constructor(private readonly root: string) {
    super();
  }

  override async put(
    key: string,
    source: Readable | Buffer | string,
    options: { maxBytes?: number } = {},
  ): Promise<StoredBlob> {
    const path = this.pathOf(key);
    return this.write(key, source, options.maxBytes, (written) => ({ ...written, key, path }));
  }

  override async putContent(source: Readable | Buffer, options: { maxBytes?: number } = {}): Promise<StoredBlob> {
    return this.write('new content', source, options.maxBytes, (written) => {
      const key = `sha256/${written.sha256.slice(0, 2)}/${written.sha256}`;
      return { ...written, key, path: this.pathOf(key) };
    });
  }

  override async open(key: string, range?: { start: number; end: number }): Promise<Readable> {
    // The file is opened before the stream is handed out, so that a missing blob is this call's error, not the stream's.
    const handle = await open(this.pathOf(key), 'r').catch((error: unknown) => {
      throw this.asReadError(key, error);
    });
    try {
      if (!(await handle.stat()).isFile()) throw new BlobNotFoundError(key);
      return createReadStream('', { fd: handle, ...range });
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  override async read(key: string): Promise<Buffer> {
    return readFile(this.pathOf(key)).catch((error: unknown) => {
      throw this.asReadError(key, error);
    });
  }

  override async size(key: string): Promise<number | undefined> {
    try {
      const found = await stat(this.pathOf(key));
      return found.isFile() ? found.size : undefined;
    } catch (error) {
      if (this.asReadError(key, error) instanceof BlobNotFoundError) return undefined;
      throw error;
    }
  }

  override async delete(key: string): Promise<void> {
    const path = this.pathOf(key);
    await rm(path, { force: true });
    await this.removeEmptyParents(path);
  }

  override async *writtenBefore(prefix: string, milliseconds: number): AsyncGenerator<string> {
    const directory = await opendir(this.pathOf(prefix)).catch((error: unknown) => {
      if (this.asReadError(prefix, error) instanceof BlobNotFoundError) return [];
      throw error;
    });
    for await (const entry of directory) {
      const key = `${prefix}/${entry.name}`;
      const found = entry.isFile() ? await stat(this.pathOf(key)).catch(() => undefined) : undefined;
      if (found && found.mtimeMs < milliseconds) yield key;
    }
  }

  /** Directories come with the first blob in them and go with the last. */
  private async removeEmptyParents(path: string): Promise<void> {
    for (let parent = dirname(path); parent.length > this.root.length; parent = dirname(parent)) {
      try {
        await rmdir(parent);
      } catch (error) {
        // Not empty; or gone, by another delete at the same time that goes on upwards itself.
        if (KEPT_DIRECTORY.has(codeOf(error))) return;
        throw error;
      }
    }
  }

  /** Removes what writers that died in the middle left behind; meant for the start of an app. Returns how many. */
  async removeAbandonedWrites(olderThanMs: number = ABANDONED_AFTER_MS): Promise<number> {
    const directory = join(this.root, UNFINISHED);
    const names = await readdir(directory).catch(() => []);
    let removed = 0;
    for (const name of names) {
      const path = join(directory, name);
      const found = await stat(path).catch(() => undefined);
      if (found === undefined || Date.now() - found.mtimeMs < olderThanMs) continue;
      await rm(path, { force: true });
      removed++;
    }
    return removed;
  }

  /** Writes aside, flushes to disk, then renames to the place that `target` names once size and hash are known. */
  private async write(
    name: string,
    source: Readable | Buffer | string,
    maxBytes: number = Number.POSITIVE_INFINITY,
    target: (written: { bytes: number; sha256: string }) => StoredBlob & { path: string },
  ): Promise<StoredBlob> {
    const unfinished = join(this.root, UNFINISHED, randomUUID());
    const stream = source instanceof Readable ? source : Readable.from([Buffer.from(source as Buffer)]);
    const hash = createHash('sha256');
    let bytes = 0;
    // A Transform and not a generator: then the source is ended with the very error, which its owner may be waiting for.
    const counted = new Transform({
      transform(chunk: Buffer, _encoding, done) {
        bytes += chunk.length;
        if (bytes > maxBytes) return done(new BlobTooLargeError(name, maxBytes));
        hash.update(chunk);
        done(null, chunk);
      },
    });
    let closed: Promise<void> | undefined;
    try {
      await mkdir(dirname(unfinished), { recursive: true });
      // `flush` is an fsync before the file is closed: what is renamed is on the disk.
      const file = createWriteStream(unfinished, { flags: 'wx', flush: true });
      closed = new Promise((resolve) => file.once('close', resolve));
      await pipeline(stream, counted, file);
      const { path, ...stored } = target({ bytes, sha256: hash.digest('hex') });
      await moveTo(path, unfinished).catch((error: unknown) => {
        throw KEY_CLASHES.has(codeOf(error)) ? new InvalidBlobKeyError(stored.key) : error;
      });
      return stored;
    } catch (error) {
      stream.destroy();
      // A source that broke off early fails the pipeline before the file is even made.
      await closed;
      await rm(unfinished, { force: true }).catch(() => undefined);
      throw this.asWriteError(error);
    }
  }

  private pathOf(key: string): string {
    if (key.length > MAX_KEY_LENGTH || !KEY.test(key)) throw new InvalidBlobKeyError(key);
    return join(this.root, key);
  }

  private asReadError(key: string, error: unknown): unknown {
    const code = codeOf(error);
    return code === 'ENOENT' || code === 'ENOTDIR' || code === 'EISDIR' ? new BlobNotFoundError(key) : error;
  }

  private asWriteError(error: unknown): unknown {
    const code = codeOf(error);
    return DISK_REFUSALS.has(code) ? new BlobStorageError(this.root, code, { cause: error }) : error;
  }
}

/** `a` and `a/b` cannot both be files; a part of a name can be longer than the file system takes. */
const KEY_CLASHES = new Set(['EISDIR', 'ENOTDIR', 'ENOTEMPTY', 'EEXIST', 'ENAMETOOLONG']);
const DISK_REFUSALS = new Set(['ENOSPC', 'EDQUOT', 'EACCES', 'EPERM', 'EROFS', 'EIO', 'EMFILE', 'ENOTDIR', 'EEXIST']);

/** `rmdir` of what must or may stay. Not every file system says ENOTEMPTY. */
const KEPT_DIRECTORY = new Set(['ENOTEMPTY', 'EEXIST', 'ENOENT', 'ENOTDIR']);
/** Deletes that may empty the target's directory between its making and the rename, in a row. */
const MAX_MOVES = 100;

/** Of a directory that goes while it is made: Node says ENOTDIR where a parent was there and then was not. */
const GONE = new Set(['ENOENT', 'ENOTDIR']);

const codeOf = (error: unknown): string => (error as NodeJS.ErrnoException | undefined)?.code ?? '';

async function moveTo(path: string, from: string): Promise<void> {
  for (let moves = 1; ; moves++) {
    try {
      await mkdir(dirname(path), { recursive: true });
      await rename(from, path);
      break;
    } catch (error) {
      // A delete just removed the directory as empty: make it again.
      if (!GONE.has(codeOf(error)) || moves === MAX_MOVES) throw error;
    }
  }
  await flushDirectory(dirname(path));
}

/** Makes a rename survive a power cut; not every file system can, and then there is nothing better to do. */
async function flushDirectory(directory: string): Promise<void> {
  const handle = await open(directory, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}
