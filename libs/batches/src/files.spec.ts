import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystemBlobStore } from '@app/storage';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { type BatchStatus, newBatchId } from './batch-record.js';
import { RedisBatchStore } from './batch-store.redis.js';
import { extractedTextKey, findExtractedText, keepExtractedText } from './extracted-texts.js';
import { type FilePurpose, type FileRecord, fileBlobKey, newFileId } from './file-record.js';
import { FileRemover } from './file-remover.js';
import { RedisFileStore } from './file-store.redis.js';

let server: RedisServer;
let redis: Redis;
let folder: string;
let files: RedisFileStore;
let batches: RedisBatchStore;
let blobs: FileSystemBlobStore;
let remover: FileRemover;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  folder = await mkdtemp(join(tmpdir(), 'files-'));
  files = new RedisFileStore(redis);
  batches = new RedisBatchStore(redis, 1000);
  blobs = new FileSystemBlobStore(folder);
  remover = new FileRemover(files, batches, blobs);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => redis.flushall());

const newFile = (change: Partial<FileRecord> = {}): FileRecord => {
  const id = newFileId();
  return {
    id,
    filename: 'größe "1".jsonl',
    purpose: 'batch',
    bytes: 12,
    created_at: 1_700_000_000,
    blobKey: fileBlobKey(id),
    sha256: 'ab',
    ...change,
  };
};
const created = async (purpose: FilePurpose, change: Partial<FileRecord> = {}): Promise<FileRecord> => {
  const file = newFile({ purpose, ...change });
  await files.create(file);
  return file;
};
/** With bytes, and a text that was extracted from them. */
const stored = async (change: Partial<FileRecord> = {}): Promise<FileRecord> => {
  const file = newFile({ purpose: 'user_data' });
  const { sha256 } = await blobs.put(file.blobKey, file.id);
  await keepExtractedText(blobs, sha256, 'its text');
  await files.create({ ...file, sha256, ...change });
  return { ...file, sha256, ...change };
};
const batchUsing = async (file: FileRecord, status: BatchStatus = 'validating'): Promise<string> => {
  const id = newBatchId();
  await files.hold(file.id, id);
  await batches.create({
    id,
    endpoint: '/v1/chat/completions',
    input_file_id: file.id,
    completion_window: '24h',
    status: 'validating',
    created_at: 1,
  });
  await batches.transition(id, ['validating'], { status });
  return id;
};
const storedBlobs = async (): Promise<string[]> =>
  (await readdir(folder, { recursive: true, withFileTypes: true }))
    .filter((entry) => entry.isFile())
    .map(({ name }) => name);

describe('RedisFileStore', () => {
  it('gives back what was created, and again when it is created again', async () => {
    const file = await created('batch');
    expect(await files.get(file.id)).toEqual(file);
    const newer = { ...file, bytes: 13 };
    await files.create(newer);
    expect(await files.get(file.id)).toEqual(newer);
    expect(await files.list({ limit: 9, order: 'asc' })).toEqual({ files: [newer], hasMore: false });
    for (const id of ['file-none', '', `${file.id}:holders`]) expect(await files.get(id)).toBeUndefined();
  });

  it('lists in the order of creation, page by page, of one purpose or of all', async () => {
    const purposes = ['batch', 'user_data', 'batch', 'batch_output', 'user_data'] as const;
    const all: FileRecord[] = [];
    for (const purpose of purposes) all.push(await created(purpose));
    const ids = async (query: Parameters<RedisFileStore['list']>[0]) => {
      const page = await files.list(query);
      return page && [page.files.map(({ id }) => all.findIndex((file) => file.id === id)), page.hasMore];
    };
    expect(await ids({ limit: 2, order: 'asc' })).toEqual([[0, 1], true]);
    expect(await ids({ limit: 2, order: 'asc', after: all[1]!.id })).toEqual([[2, 3], true]);
    expect(await ids({ limit: 2, order: 'asc', after: all[3]!.id })).toEqual([[4], false]);
    expect(await ids({ limit: 2, order: 'asc', after: all[4]!.id })).toEqual([[], false]);
    expect(await ids({ limit: 2, order: 'desc' })).toEqual([[4, 3], true]);
    expect(await ids({ limit: 3, order: 'desc', after: all[3]!.id })).toEqual([[2, 1, 0], false]);
    expect(await ids({ limit: 1, order: 'asc', purpose: 'user_data' })).toEqual([[1], true]);
    expect(await ids({ limit: 1, order: 'asc', purpose: 'user_data', after: all[2]!.id })).toEqual([[4], false]);
    expect(await ids({ limit: 9, order: 'desc', purpose: 'batch', after: all[1]!.id })).toEqual([[0], false]);
    expect(await files.list({ limit: 9, order: 'desc', after: 'file-none' })).toBeUndefined();
    await files.withdraw(all[1]!.id);
    expect(await ids({ limit: 9, order: 'asc' })).toEqual([[0, 2, 3, 4], false]);
    expect(await ids({ limit: 9, order: 'asc', purpose: 'user_data' })).toEqual([[4], false]);
    // Who was in the middle of a listing goes on.
    expect(await ids({ limit: 9, order: 'asc', after: all[1]!.id })).toEqual([[2, 3, 4], false]);
    expect(await ids({ limit: 9, order: 'desc', purpose: 'batch', after: all[1]!.id })).toEqual([[0], false]);
    expect(await redis.ttl(`longhaul:{files}:place:${all[1]!.id}`)).toBeGreaterThan(3600);
  });

  it('withdraws exactly once what nobody holds, and lets nobody hold what is withdrawn', async () => {
    const file = await created('user_data');
    expect(await files.hold(file.id, 'batch_a')).toEqual(file);
    await files.hold(file.id, 'batch_b');
    expect((await files.withdraw(file.id))?.heldBy.toSorted()).toEqual(['batch_a', 'batch_b']);
    expect(await files.get(file.id)).toEqual(file);
    await files.release(file.id, ['batch_a', 'batch_b']);
    const withdrawals = await Promise.all([files.withdraw(file.id), files.withdraw(file.id)]);
    expect(withdrawals).toContainEqual({ file, heldBy: [] });
    expect(withdrawals).toContain(undefined);
    expect(await files.hold(file.id, 'batch_c')).toBeUndefined();
    expect(await files.get(file.id)).toBeUndefined();
    expect(await files.withdrawn()).toEqual([file]);
    await files.forget(file.id);
    const left = await redis.keys('longhaul:{files}:*');
    expect(left.filter((key) => !key.startsWith('longhaul:{files}:place:'))).toEqual(['longhaul:{files}:places']);
  });
});

describe('FileRemover', () => {
  it('removes record, bytes and extracted text', async () => {
    const file = await stored();
    const other = await stored();
    await remover.remove(file.id);
    expect(await files.get(file.id)).toBeUndefined();
    expect((await storedBlobs()).sort()).toEqual([other.id, other.sha256].sort());
    await expect(remover.remove(file.id)).rejects.toMatchObject({ status: 404, param: 'id' });
    await remover.remove(other.id);
    expect(await storedBlobs()).toEqual([]);
    expect(await redis.hlen('longhaul:{files}:withdrawn')).toBe(0);
  });

  it.each(['validating', 'in_progress', 'finalizing', 'cancelling'] as const)(
    'refuses a file of a batch that is %s, and removes it once that has ended',
    async (status) => {
      const file = await stored();
      const ended = await batchUsing(file, 'completed');
      const batch = await batchUsing(file, status);
      const error = await remover.remove(file.id).catch((thrown: unknown) => thrown);
      expect(error).toMatchObject({ status: 409, param: 'id', code: 'file_in_use' });
      expect(String(error)).toContain(`in use by batch '${batch}'`);
      expect(String(error)).not.toContain(ended);
      expect(await storedBlobs()).toContain(file.id);
      await batches.transition(batch, [status], { status: 'failed' });
      await remover.remove(file.id);
      expect(await storedBlobs()).toEqual([]);
    },
  );

  it('finishes what a crash left half-done', async () => {
    const file = await stored();
    await files.withdraw(file.id);
    expect(await storedBlobs()).toHaveLength(2);
    await remover.sweep(0);
    expect(await storedBlobs()).toEqual([]);
    expect(await files.withdrawn()).toEqual([]);
  });

  it('removes what uploads left behind whose process was killed, and nothing younger or in use', async () => {
    const kept = await stored();
    const withdrawn = await stored();
    await files.withdraw(withdrawn.id);
    const orphan = fileBlobKey(newFileId());
    const body = 'chat/chatcmpl-1.json';
    for (const key of [orphan, body, 'plans/batch_1/0.json']) await blobs.put(key, 'bytes');
    await remover.sweepOrphans(Date.now() - 60_000);
    expect(await blobs.size(orphan)).toBe(5);
    await remover.sweepOrphans(Date.now() + 60_000);
    const sizes = [orphan, body, kept.blobKey, withdrawn.blobKey, 'plans/batch_1/0.json'].map((key) => blobs.size(key));
    const id = kept.id.length;
    expect(await Promise.all(sizes)).toEqual([undefined, undefined, id, id, 5]);
    await remover.remove(kept.id);
    await blobs.put(orphan, 'bytes');
    await redis.flushall();
    await remover.sweepOrphans(Date.now() + 60_000);
    expect(await blobs.size(orphan)).toBe(5);
  });

  it('removes expired files, but none that a batch still uses', async () => {
    const kept = await stored();
    const later = await stored({ expires_at: 2000 });
    const due = await stored({ expires_at: 1000 });
    const used = await stored({ expires_at: 900 });
    const batch = await batchUsing(used, 'in_progress');
    await remover.sweep(999);
    expect(await files.get(due.id)).toEqual(due);
    await remover.sweep(1000);
    expect(await files.get(due.id)).toBeUndefined();
    for (const file of [kept, later, used]) expect(await files.get(file.id)).toEqual(file);
    await batches.transition(batch, ['in_progress'], { status: 'completed' });
    await remover.sweep(1000);
    expect(await files.get(used.id)).toBeUndefined();
    await remover.sweep(5000);
    expect((await files.list({ limit: 9, order: 'asc' }))?.files).toEqual([kept]);
    expect(await files.expired(5000)).toEqual([]);
    await remover.remove(kept.id);
  });
});

describe('extracted texts', () => {
  it('are kept, but not those of another version of the extractor', async () => {
    expect(await findExtractedText(blobs, 'cd')).toBeUndefined();
    await keepExtractedText(blobs, 'cd', 'größer\n\n# 2\n');
    expect(await findExtractedText(blobs, 'cd')).toBe('größer\n\n# 2\n');
    await blobs.put(extractedTextKey('cd'), '0\nolder');
    expect(await findExtractedText(blobs, 'cd')).toBeUndefined();
  });
});
