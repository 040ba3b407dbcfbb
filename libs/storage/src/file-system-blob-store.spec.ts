import { createHash, randomBytes } from 'node:crypto';
import fs from 'node:fs';
import { chmod, mkdtemp, readdir, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { buffer, text } from 'node:stream/consumers';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { BlobNotFoundError, BlobStorageError, BlobTooLargeError, InvalidBlobKeyError } from './blob-errors.js';
import { FileSystemBlobStore } from './file-system-blob-store.js';

let root: string;
let store: FileSystemBlobStore;

beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'blobs-'));
  store = new FileSystemBlobStore(join(root, 'store'));
});
afterEach(async () => {
  await chmod(root, 0o755);
  await rm(root, { recursive: true, force: true });
});

/** Every regular file below the store, unfinished ones included. */
const filesBelow = async (directory: string): Promise<string[]> =>
  (await readdir(directory, { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1))
    .sort();

describe('FileSystemBlobStore', () => {
  it('gives back what was put, from a buffer, a string and a stream', async () => {
    const bytes = randomBytes(300_000);
    const sha256 = createHash('sha256').update(bytes).digest('hex');
    expect(await store.put('a/b', bytes)).toEqual({ key: 'a/b', bytes: 300_000, sha256 });
    expect(await store.put('a/c', Readable.from([bytes.subarray(0, 7), bytes.subarray(7)]))).toEqual({
      key: 'a/c',
      bytes: 300_000,
      sha256,
    });
    expect((await store.put('a/d', 'größer')).bytes).toBe(8);
    expect((await store.read('a/b')).equals(bytes)).toBe(true);
    expect((await buffer(await store.open('a/c'))).equals(bytes)).toBe(true);
    expect(await text(await store.open('a/d'))).toBe('größer');
    expect(await store.size('a/b')).toBe(300_000);
    expect(await filesBelow(join(root, 'store'))).toEqual(['a/b', 'a/c', 'a/d']);
  });

  it('stores empty content', async () => {
    expect(await store.put('empty', '')).toMatchObject({ bytes: 0 });
    expect(await store.put('empty-stream', Readable.from([]))).toMatchObject({ bytes: 0 });
    expect(await store.read('empty')).toEqual(Buffer.alloc(0));
    expect(await store.size('empty-stream')).toBe(0);
  });

  it('opens a range, both ends included', async () => {
    await store.put('digits', '0123456789');
    expect(await text(await store.open('digits', { start: 2, end: 4 }))).toBe('234');
  });

  it('finds what lies below a prefix and was written before a time', async () => {
    for (const key of ['files/old', 'files/new', 'files/more/deep', 'other/old']) await store.put(key, 'x');
    const hours = (ago: number) => new Date(Date.now() - ago * 3_600_000);
    for (const key of ['files/old', 'other/old']) await utimes(join(root, 'store', key), hours(3), hours(3));
    const found = async (prefix: string) => {
      const keys: string[] = [];
      for await (const key of store.writtenBefore(prefix, hours(2).getTime())) keys.push(key);
      return keys;
    };
    expect(await found('files')).toEqual(['files/old']);
    expect(await found('none')).toEqual([]);
    await expect(found('../files')).rejects.toThrow(InvalidBlobKeyError);
  });

  it('replaces a blob that is written again, and equal contents share one blob', async () => {
    await store.put('k', 'old');
    await store.put('k', 'new');
    expect(String(await store.read('k'))).toBe('new');
    const first = await store.putContent(Buffer.from('same'));
    const second = await store.putContent(Readable.from([Buffer.from('sa'), Buffer.from('me')]));
    expect(second).toEqual(first);
    expect(first.key).toBe(`sha256/${first.sha256.slice(0, 2)}/${first.sha256}`);
    expect(await filesBelow(join(root, 'store'))).toEqual(['k', first.key]);
  });

  it('shows readers the old content until the new one is whole', async () => {
    await store.put('k', 'old');
    const slow = new Readable({ read() {} });
    const writing = store.put('k', slow);
    slow.push('half of ');
    expect(String(await store.read('k'))).toBe('old');
    slow.push('the new');
    slow.push(null);
    await writing;
    expect(String(await store.read('k'))).toBe('half of the new');
  });

  it('keeps one whole content when many write the same key at once', async () => {
    const contents = Array.from({ length: 20 }, (_, i) => Buffer.alloc(50_000, i));
    await Promise.all(contents.map((content) => store.put('contested', content)));
    const kept = await store.read('contested');
    expect(contents.some((content) => content.equals(kept))).toBe(true);
    expect(await filesBelow(join(root, 'store'))).toEqual(['contested']);
  });

  it('takes exactly maxBytes and refuses one more, leaving nothing and no open source', async () => {
    expect(await store.put('fits', Buffer.alloc(10), { maxBytes: 10 })).toMatchObject({ bytes: 10 });
    let produced = 0;
    const endless = new Readable({
      read() {
        produced += 1000;
        this.push(Buffer.alloc(1000));
      },
    });
    const told = new Promise((resolve) => endless.once('error', resolve));
    await expect(store.put('endless', endless, { maxBytes: 100_000 })).rejects.toThrow(BlobTooLargeError);
    expect(await told).toBeInstanceOf(BlobTooLargeError);
    expect(endless.destroyed).toBe(true);
    expect(produced).toBeLessThan(1_000_000);
    await expect(store.putContent(Buffer.alloc(11), { maxBytes: 10 })).rejects.toThrow('larger than the 10 bytes');
    expect(await filesBelow(join(root, 'store'))).toEqual(['fits']);
  });

  it('leaves the old content and no leftovers when the source fails', async () => {
    await store.put('k', 'old');
    const failing = Readable.from(
      (async function* () {
        yield 'something';
        throw new Error('the client went away');
      })(),
    );
    await expect(store.put('k', failing)).rejects.toThrow('the client went away');
    expect(String(await store.read('k'))).toBe('old');
    expect(await filesBelow(join(root, 'store'))).toEqual(['k']);
  });

  it('leaves nothing when the source fails before a slow disk has made the file', async () => {
    const { open } = fs;
    const made = new Promise<void>((resolve) => {
      vi.spyOn(fs, 'open').mockImplementationOnce(((path, flags, mode, done) => {
        // Some other work of the disk first.
        const late = filesBelow(root).then(() => filesBelow(root));
        void late.then(() => open(path, flags, mode, (...opened) => resolve(done(...opened))));
      }) as typeof open);
    });
    const broken = new PassThrough().on('error', () => undefined);
    const putting = store.put('k', broken);
    broken.destroy(new Error('the client went away'));
    await expect(putting).rejects.toThrow();
    await made;
    vi.restoreAllMocks();
    expect(await filesBelow(join(root, 'store'))).toEqual([]);
  });

  it.each([
    '',
    '.',
    '..',
    '../x',
    'a/../../x',
    '/etc/passwd',
    'a//b',
    'a/',
    '.unfinished/x',
    'a/.b',
    'a\\..\\b',
    'a\0b',
    'ü',
    'a\n',
    'a'.repeat(513),
  ])('refuses the key %j everywhere', async (key) => {
    await writeFile(join(root, 'x'), 'outside');
    await expect(store.put(key, 'content')).rejects.toThrow(InvalidBlobKeyError);
    await expect(store.open(key)).rejects.toThrow(InvalidBlobKeyError);
    await expect(store.read(key)).rejects.toThrow(InvalidBlobKeyError);
    await expect(store.size(key)).rejects.toThrow(InvalidBlobKeyError);
    await expect(store.delete(key)).rejects.toThrow(InvalidBlobKeyError);
    expect(String(await readFile(join(root, 'x')))).toBe('outside');
  });

  it('refuses a key below or above another blob', async () => {
    await store.put('a', 'content');
    await expect(store.put('a/b', 'content')).rejects.toThrow(InvalidBlobKeyError);
    await store.put('c/d', 'content');
    await expect(store.put('c', 'content')).rejects.toThrow(InvalidBlobKeyError);
    expect(await filesBelow(join(root, 'store'))).toEqual(['a', 'c/d']);
  });

  it('says that a blob is missing', async () => {
    await store.put('a/b', 'content');
    for (const key of ['none', 'a', 'a/b/c']) {
      await expect(store.open(key)).rejects.toThrow(BlobNotFoundError);
      await expect(store.read(key)).rejects.toThrow(BlobNotFoundError);
      expect(await store.size(key)).toBeUndefined();
    }
    await store.delete('none');
    await store.delete('a/b');
    await expect(store.read('a/b')).rejects.toThrow(BlobNotFoundError);
  });

  it('lets go of a directory with its last blob', async () => {
    for (const key of ['plans/a/0', 'plans/a/1', 'plans/b/0']) await store.put(key, 'content');
    const directories = async () => (await readdir(join(root, 'store'), { recursive: true })).sort();
    await store.delete('plans/a/0');
    expect(await directories()).toEqual(['.unfinished', 'plans', 'plans/a', 'plans/a/1', 'plans/b', 'plans/b/0']);
    await store.delete('plans/a/1');
    await store.delete('plans/a/1');
    expect(await directories()).toEqual(['.unfinished', 'plans', 'plans/b', 'plans/b/0']);
    await store.delete('plans/b/0');
    expect(await directories()).toEqual(['.unfinished']);
  });

  it('writes into a directory that others keep removing', async () => {
    const churn = async (name: string) => {
      for (let i = 0; i < 100; i++) {
        await store.put(`a/b/${name}`, name);
        expect(String(await store.read(`a/b/${name}`))).toBe(name);
        await store.delete(`a/b/${name}`);
      }
    };
    await Promise.all(['w', 'x', 'y', 'z'].map(churn));
    expect(await readdir(join(root, 'store'))).toEqual(['.unfinished']);
  });

  it('names the directory and the way out when there is no permission', async () => {
    await chmod(root, 0o000);
    // Root may write anywhere, so a test run by root becomes nobody for this one write.
    const isRoot = process.getuid?.() === 0;
    if (isRoot) process.seteuid?.(65_534);
    try {
      await expect(store.put('k', 'content')).rejects.toThrow(
        new BlobStorageError(join(root, 'store'), 'EACCES').message,
      );
    } finally {
      if (isRoot) process.seteuid?.(0);
    }
    expect(new BlobStorageError('/data', 'ENOSPC').message).toContain('the disk is full; free some space');
  });

  it('names the directory and the way out when a file is in its place', async () => {
    await writeFile(join(root, 'store'), 'a file');
    const error = await store.put('k', 'content').catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(BlobStorageError);
    expect(String(error)).toContain('a file is in the way');
  });

  it('removes abandoned writes and only those', async () => {
    await store.put('k', 'content');
    const unfinished = join(root, 'store', '.unfinished');
    await writeFile(join(unfinished, 'left-behind'), 'half');
    expect(await store.removeAbandonedWrites()).toBe(0);
    expect(await store.removeAbandonedWrites(-1)).toBe(1);
    expect(await filesBelow(join(root, 'store'))).toEqual(['k']);
    expect((await stat(unfinished)).isDirectory()).toBe(true);
    expect(await new FileSystemBlobStore(join(root, 'new')).removeAbandonedWrites()).toBe(0);
  });
});
