import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Cancellations, RedisResultStore } from '@app/results';
import { FileSystemBlobStore } from '@app/storage';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { BatchFinalizer } from './batch-finalizer.js';
import { BatchJobs, groupPlanKey } from './batch-jobs.js';
import { BatchPlanner } from './batch-planner.js';
import { BatchReconciler } from './batch-reconciler.js';
import { type BatchRecord, newBatchId } from './batch-record.js';
import { RedisBatchStore } from './batch-store.redis.js';
import { fileBlobKey, newFileId } from './file-record.js';
import { RedisFileStore } from './file-store.redis.js';
import { answeredItem } from './item-outcome.js';
import { groupQueue, QUEUE_PREFIX } from './queues.js';

const MODEL = 'tiny';
const RETENTION_SECONDS = 1000;

let server: RedisServer;
let redis: Redis;
let folder: string;
let blobs: FileSystemBlobStore;
let batches: RedisBatchStore;
let files: RedisFileStore;
let results: RedisResultStore;
let cancellations: Cancellations;
let jobs: BatchJobs;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  folder = await mkdtemp(join(tmpdir(), 'batch-end-'));
  blobs = new FileSystemBlobStore(folder);
  batches = new RedisBatchStore(redis, RETENTION_SECONDS);
  files = new RedisFileStore(redis);
  results = new RedisResultStore(redis);
  cancellations = new Cancellations(redis);
  jobs = new BatchJobs(redis);
});
afterAll(async () => {
  await jobs?.close();
  await results?.close();
  await cancellations?.close();
  redis?.disconnect();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => redis.flushall());

/** What a prompt says does not matter here. */
const plannerOver = (store: RedisBatchStore): BatchPlanner => {
  const encoder = {
    contextLength: 8192,
    vocabularySize: 10,
    encode: async () => Int32Array.of(1, 2, 3),
    tokenEnds: async () => new Uint32Array(0),
    encodeText: async () => Int32Array.of(1, 2, 3),
  };
  const options = { model: MODEL, compression: { policy: 'full', budget: 1 }, maxLineBytes: 10_000, maxLines: 10 };
  return new BatchPlanner(store, files, results, blobs, jobs, encoder, options);
};

const newBatch = async (lines: readonly object[], change: Partial<BatchRecord> = {}): Promise<BatchRecord> => {
  const input_file_id = newFileId();
  const blobKey = fileBlobKey(input_file_id);
  const { bytes, sha256 } = await blobs.put(blobKey, lines.map((line) => JSON.stringify(line)).join('\n'));
  await files.create({ id: input_file_id, filename: 'f', purpose: 'batch', bytes, created_at: 1, blobKey, sha256 });
  const batch: BatchRecord = {
    id: newBatchId(),
    endpoint: '/v1/chat/completions',
    input_file_id,
    completion_window: '24h',
    status: 'validating',
    created_at: 1,
    ...change,
  };
  await batches.create(batch);
  return batch;
};

const line = (customId: string, content: string): object => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model: MODEL, messages: [{ role: 'user', content }] },
});

/** Keys of the plans that are left. */
const plansOf = async (batchId: string): Promise<string[]> => {
  const keys = [0, 1, 2].map((group) => groupPlanKey(batchId, group));
  const sizes = await Promise.all(keys.map((key) => blobs.size(key)));
  return keys.filter((_, i) => sizes[i] !== undefined);
};

const groupJobs = async (): Promise<string[]> => {
  const groups = new Queue(groupQueue(MODEL), { connection: redis, prefix: QUEUE_PREFIX });
  const found = await groups.getJobs();
  await groups.close();
  return found.map(({ id }) => id ?? '');
};

describe('a batch that ends early', () => {
  const finalizer = () => new BatchFinalizer(batches, files, results, blobs, jobs, RETENTION_SECONDS);
  const linesOf = async (fileId: string) =>
    (await blobs.read(fileBlobKey(fileId)))
      .toString()
      .trim()
      .split('\n')
      .map((text) => JSON.parse(text));

  it('expires with what is complete, and takes no answer afterwards', async () => {
    const reconciler = new BatchReconciler(batches, results, blobs, jobs, cancellations);
    const batch = await newBatch([line('a', 'Hello'), line('b', 'Bye'), { bad: 1 }], { expires_at: 2 });
    await plannerOver(batches).plan(batch.id);
    await results.record(batch.id, 1, answeredItem('b', { said: 'bye' }));
    const watch = await cancellations.watch(batch.id);
    expect(watch.signal.aborted).toBe(false);
    const aborted = once(watch.signal, 'abort');
    await reconciler.reconcile();
    await aborted;
    await watch.stop();
    const finalizing = new Queue('finalizing', { connection: redis, prefix: QUEUE_PREFIX });
    expect(await finalizing.getJob(batch.id)).toBeDefined();
    await finalizing.close();
    expect(await batches.get(batch.id)).toMatchObject({ status: 'finalizing', expired_at: expect.any(Number) });
    await reconciler.reconcile();
    await finalizer().finalize(batch.id);
    await finalizer().finalize(batch.id);
    await results.record(batch.id, 0, answeredItem('a', { said: 'too late' }));
    const ended = await batches.get(batch.id);
    expect(ended).toMatchObject({ status: 'expired', expired_at: expect.any(Number) });
    expect(await results.counts(batch.id)).toEqual({ total: 3, completed: 1, failed: 2 });
    expect(await linesOf(ended!.output_file_id!)).toMatchObject([{ custom_id: 'b' }]);
    expect(await linesOf(ended!.error_file_id!)).toMatchObject([
      { custom_id: 'a', response: null, error: { code: 'batch_expired', message: expect.stringContaining('window') } },
      { custom_id: null, error: { line: 3 } },
    ]);
    expect(await plansOf(batch.id)).toEqual([]);
    expect(await batches.unfinished()).toEqual([]);
  });

  it.each([
    ['before its planning', { status: 'cancelling', cancelling_at: 5 }],
    ['before its planning, by time', { status: 'finalizing', expired_at: 5 }],
  ] as const)('%s leaves nothing behind', async (_when, change) => {
    const batch = await newBatch([line('a', 'Hello')], change);
    await plannerOver(batches).plan(batch.id);
    expect(await plansOf(batch.id)).toEqual([]);
    await finalizer().finalize(batch.id);
    expect((await batches.get(batch.id))?.status).toBe(change.status === 'cancelling' ? 'cancelled' : 'expired');
    expect(await batches.unfinished()).toEqual([]);
  });

  it('while it is planned queues no group', async () => {
    const batch = await newBatch([line('a', 'Hello'), line('b', 'Bye')]);
    const cancelling: Pick<RedisBatchStore, 'transition'> = {
      async transition(id, from, change) {
        await batches.transition(id, ['validating'], { status: 'cancelling', cancelling_at: 7 });
        return batches.transition(id, from, change);
      },
    };
    const interrupted = Object.setPrototypeOf(cancelling, batches) as RedisBatchStore;
    await plannerOver(interrupted).plan(batch.id);
    expect(await groupJobs()).toEqual([]);
    await finalizer().finalize(batch.id);
    const ended = await batches.get(batch.id);
    expect(ended).toMatchObject({ status: 'cancelled', cancelling_at: 7, cancelled_at: expect.any(Number) });
    expect(await linesOf(ended!.error_file_id!)).toMatchObject([
      { custom_id: 'a', error: { code: 'batch_cancelled' } },
      { custom_id: 'b', error: { code: 'batch_cancelled' } },
    ]);
  });
});
