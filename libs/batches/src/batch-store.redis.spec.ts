import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { type BatchRecord, newBatchId } from './batch-record.js';
import { RedisBatchStore } from './batch-store.redis.js';

let server: RedisServer;
let redis: Redis;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});
beforeEach(() => redis.flushall());

const newBatch = (): BatchRecord => ({
  id: newBatchId(),
  endpoint: '/v1/chat/completions',
  input_file_id: 'file-1',
  completion_window: '24h',
  status: 'validating',
  created_at: 1_700_000_000,
  errors: [],
  metadata: { note: 'a "quoted"\nnote', empty: '' },
  compression: { policy: 'kvmerger', budget: 0.35 },
});

describe('RedisBatchStore', () => {
  const retention = 100;

  it('gives back what was created, types, empty lists and texts included', async () => {
    const store = new RedisBatchStore(redis, retention);
    const batch = newBatch();
    await store.create(batch);
    expect(await store.get(batch.id)).toEqual(batch);
    for (const id of ['batch_none', 'unfinished', 'order', '']) expect(await store.get(id)).toBeUndefined();
    expect(await store.unfinished()).toEqual([batch.id]);
  });

  it('lists the newest first, page by page, without those that expired', async () => {
    const store = new RedisBatchStore(redis, retention);
    const all = Array.from({ length: 6 }, newBatch);
    for (const batch of all) await store.create(batch);
    const list = async (limit: number, after?: number) => {
      const page = await store.list({ limit, ...(after !== undefined && { after: all[after]!.id }) });
      return page && [page.batches.map(({ id }) => all.findIndex((batch) => batch.id === id)), page.hasMore];
    };
    expect(await list(4)).toEqual([[5, 4, 3, 2], true]);
    expect(await list(4, 2)).toEqual([[1, 0], false]);
    expect(await list(6)).toEqual([[5, 4, 3, 2, 1, 0], false]);
    expect(await list(6, 0)).toEqual([[], false]);
    expect(await store.list({ limit: 1, after: 'batch_none' })).toBeUndefined();
    for (const i of [4, 3, 2]) await redis.del(`longhaul:{batches}:record:${all[i]!.id}`);
    expect(await list(2)).toEqual([[5, 1], true]);
    expect(await list(3)).toEqual([[5, 1, 0], false]);
    expect((await store.list({ limit: 1 }))?.batches).toEqual([all[5]]);
    // Who was in the middle of a listing goes on.
    expect(await list(2, 3)).toEqual([[1, 0], false]);
    expect(await redis.ttl(`longhaul:{batches}:place:${all[3]!.id}`)).toBeGreaterThan(3600);
  });

  it('changes fields only from an allowed status', async () => {
    const store = new RedisBatchStore(redis, retention);
    const batch = newBatch();
    await store.create(batch);
    expect(await store.transition(batch.id, ['in_progress', 'finalizing'], { status: 'completed' })).toBe(false);
    expect(await store.transition(batch.id, [], { status: 'completed' })).toBe(false);
    expect(await store.transition('batch_none', ['validating'], { status: 'failed' })).toBe(false);
    expect(await store.get('batch_none')).toBeUndefined();
    expect(await store.get(batch.id)).toEqual(batch);
    const change = { status: 'in_progress', in_progress_at: 1_700_000_001 } as const;
    expect(await store.transition(batch.id, ['failed', 'validating'], change)).toBe(true);
    expect(await store.get(batch.id)).toEqual({ ...batch, ...change });
  });

  it('lets exactly one of many contenders through', async () => {
    const batch = newBatch();
    const connections = Array.from({ length: 8 }, () => new Redis(server.url));
    const stores = connections.map((connection) => new RedisBatchStore(connection, retention));
    await stores[0]!.create(batch);
    const won = await Promise.all(
      Array.from({ length: 80 }, async (_, i) =>
        (await stores[i % 8]!.transition(batch.id, ['validating'], { status: 'finalizing', finalizing_at: i }))
          ? i
          : -1,
      ),
    );
    const winners = won.filter((i) => i >= 0);
    expect(winners).toHaveLength(1);
    expect(await stores[1]!.get(batch.id)).toMatchObject({ status: 'finalizing', finalizing_at: winners[0] });
    for (const connection of connections) connection.disconnect();
  });

  it.each(['completed', 'failed', 'expired', 'cancelled'] as const)(
    'a %s batch is finished and expires',
    async (end) => {
      const store = new RedisBatchStore(redis, retention);
      const batch = newBatch();
      const other = newBatch();
      await store.create(batch);
      await store.create(other);
      await store.transition(batch.id, ['validating'], { status: 'in_progress' });
      expect((await store.unfinished()).sort()).toEqual([batch.id, other.id].sort());
      expect(await redis.ttl(`longhaul:{batches}:record:${batch.id}`)).toBe(-1);
      await store.transition(batch.id, ['in_progress'], { status: end });
      expect(await store.unfinished()).toEqual([other.id]);
      expect(await redis.ttl(`longhaul:{batches}:record:${batch.id}`)).toBeGreaterThan(90);
      expect(await redis.ttl(`longhaul:{batches}:record:${other.id}`)).toBe(-1);
    },
  );
});
