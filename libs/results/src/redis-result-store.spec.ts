import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import type { ItemResult } from './item-result.js';
import { connectRedis, connectRedisForRequests } from './redis-connection.js';
import { resultKeys } from './redis-keys.js';
import { RedisResultStore } from './redis-result-store.js';
import type { ProgressEvent } from './result-store.js';

let server: RedisServer;
let redis: Redis;
let store: RedisResultStore;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
  store = new RedisResultStore(redis);
});
afterAll(async () => {
  await store?.close();
  redis?.disconnect();
  await server?.stop();
});
beforeEach(() => redis.flushall());

const result = (index: number, ok = true, text = `answer ${index}`): ItemResult => ({
  id: `batch_req_${text}`,
  custom_id: `item "${index}"`,
  response: { status_code: ok ? 200 : 400, request_id: 'r', body: { text, empty: [], none: null } },
  error: null,
});

/** Collects events and waits for a number of them. */
const collector = () => {
  const events: ProgressEvent[] = [];
  let wake = (): void => undefined;
  return {
    events,
    listener: (event: ProgressEvent) => {
      events.push(event);
      wake();
    },
    async reach(count: number): Promise<void> {
      while (events.length < count) await new Promise<void>((resolve) => (wake = resolve));
    },
  };
};

describe('RedisResultStore', () => {
  it('adds up the tokens of what was answered, once', async () => {
    const answered = (usage: object): ItemResult => ({
      ...result(0),
      response: { status_code: 200, request_id: 'r', body: { usage } },
    });
    const usage = { prompt_tokens: 10, completion_tokens: 3, prompt_tokens_details: { cached_tokens: 7 } };
    await store.record('u', 0, answered(usage));
    await store.record('u', 0, answered(usage));
    await store.record('u', 1, answered({ prompt_tokens: 5, completion_tokens: 1 }));
    await store.record('u', 2, result(2, false));
    expect(await store.usage('u')).toEqual({ input: 15, cached: 7, output: 4 });
    expect(await store.usage('none')).toEqual({ input: 0, cached: 0, output: 0 });
  });

  it('gives back what was recorded and counts it', async () => {
    await store.expect('b', 3);
    expect(await store.record('b', 1, result(1))).toEqual({
      first: true,
      counts: { total: 3, completed: 1, failed: 0 },
    });
    expect(await store.record('b', 0, result(0, false))).toEqual({
      first: true,
      counts: { total: 3, completed: 1, failed: 1 },
    });
    expect(await store.get('b', 1)).toEqual(result(1));
    expect(await store.get('b', 2)).toBeUndefined();
    expect(await store.counts('b')).toEqual({ total: 3, completed: 1, failed: 1 });
    expect(await store.counts('unknown')).toEqual({ total: 0, completed: 0, failed: 0 });
    expect(await store.recorded('b', [0, 1, 2])).toEqual(new Set([0, 1]));
    expect(await store.recorded('b', [])).toEqual(new Set());
  });

  it('keeps the first of many writers on many connections, and every counter exact', async () => {
    const writers = await Promise.all(
      Array.from({ length: 8 }, async () => {
        const connection = new Redis(server.url);
        return { connection, store: new RedisResultStore(connection) };
      }),
    );
    const items = 50;
    await store.expect('race', items);
    const outcomes = await Promise.all(
      writers.flatMap((writer, w) =>
        Array.from({ length: items }, async (_, i) => ({
          w,
          i,
          // Every third item fails, whoever writes it: half of the writers would count it wrongly if they were not first.
          ...(await writer.store.record('race', i, result(i, i % 3 !== 0, `by ${w}`))),
        })),
      ),
    );
    const first = outcomes.filter((outcome) => outcome.first);
    expect(first.map(({ i }) => i).sort((a, b) => a - b)).toEqual(Array.from({ length: items }, (_, i) => i));
    for (const { w, i } of first) {
      expect(await store.get('race', i)).toEqual(result(i, i % 3 !== 0, `by ${w}`));
    }
    expect(await store.counts('race')).toEqual({ total: 50, completed: 33, failed: 17 });
    expect(first.map(({ counts }) => counts.completed + counts.failed).sort((a, b) => a - b)).toEqual(
      Array.from({ length: items }, (_, i) => i + 1),
    );
    for (const { connection } of writers) connection.disconnect();
  });

  it('does not let a second outcome of the same item move a counter', async () => {
    await store.expect('b', 1);
    await store.record('b', 0, result(0, false));
    expect(await store.record('b', 0, result(0, true))).toEqual({
      first: false,
      counts: { total: 1, completed: 0, failed: 1 },
    });
    expect(await store.get('b', 0)).toEqual(result(0, false));
  });

  it('publishes one event for every recorded item, none for repeats', async () => {
    const one = collector();
    const two = collector();
    const stopOne = await store.subscribe('b', one.listener);
    const stopTwo = await store.subscribe('b', two.listener);
    await store.expect('b', 3);
    await store.record('b', 0, result(0));
    await store.record('b', 0, result(0));
    await store.record('other', 0, result(0));
    await store.record('b', 2, result(2, false));
    await two.reach(2);
    expect(one.events).toEqual([
      { batchId: 'b', index: 0, customId: 'item "0"', ok: true, counts: { total: 3, completed: 1, failed: 0 } },
      { batchId: 'b', index: 2, customId: 'item "2"', ok: false, counts: { total: 3, completed: 1, failed: 1 } },
    ]);
    expect(two.events).toEqual(one.events);

    await stopOne();
    await store.record('b', 1, { ...result(1), custom_id: null });
    await two.reach(3);
    expect(two.events[2]).toMatchObject({ index: 1, customId: null });
    expect(one.events).toHaveLength(2);
    await stopTwo();
    expect(await redis.pubsub('NUMSUB', 'longhaul:progress:{b}')).toEqual(['longhaul:progress:{b}', 0]);
  });

  it('reads all in index order over several slices, whatever order they came in', async () => {
    const total = 300;
    await store.expect('b', total);
    const shuffled = Array.from({ length: total }, (_, i) => (i * 7) % total).filter((i) => i !== 150);
    await Promise.all(shuffled.map((i) => store.record('b', i, result(i))));
    const seen: number[] = [];
    for await (const item of store.all('b')) {
      expect(item.result).toEqual(result(item.index));
      seen.push(item.index);
    }
    expect(seen).toEqual(Array.from({ length: total }, (_, i) => i).filter((i) => i !== 150));
  });

  it('counts the runs of each group', async () => {
    expect(await store.beginAttempt('b', 'g1')).toBe(1);
    expect(await store.beginAttempt('b', 'g1')).toBe(2);
    expect(await store.beginAttempt('b', 'g2')).toBe(1);
  });

  it('expires every key of a batch, also those written after the expiry was set', async () => {
    await store.expect('b', 2);
    await store.beginAttempt('b', 'g');
    await store.expire('b', 100);
    await store.record('b', 0, result(0));
    const keys = Object.values(resultKeys('b'));
    expect(await redis.keys('*')).toHaveLength(keys.length);
    for (const key of keys) {
      const left = await redis.ttl(key);
      expect(left).toBeGreaterThan(90);
      expect(left).toBeLessThanOrEqual(101);
    }
    await store.expire('b', -10);
    expect(await redis.keys('*')).toEqual([]);
  });

  it('records after a restart of Redis, which forgets its scripts, and still hears events', async () => {
    const heard = collector();
    const stop = await store.subscribe('b', heard.listener);
    await store.expect('b', 2);
    await store.record('b', 0, result(0));
    await heard.reach(1);
    await server.restart();
    expect(await store.record('b', 0, result(0))).toMatchObject({ first: false });
    // The subscription comes back on its own connection, in its own time.
    while ((await redis.pubsub('NUMSUB', 'longhaul:progress:{b}'))[1] === 0) await new Promise(setImmediate);
    await store.record('b', 1, result(1));
    await heard.reach(2);
    expect(heard.events[1]?.counts).toEqual({ total: 2, completed: 2, failed: 0 });
    await stop();
  });

  it('hears events again on a connection for requests, which keeps no commands while Redis is away', async () => {
    const requests = connectRedisForRequests(server.url);
    await requests.connect();
    const listening = new RedisResultStore(requests);
    const heard = collector();
    await listening.subscribe('away', heard.listener);
    await server.restart();
    while ((await redis.pubsub('NUMSUB', 'longhaul:progress:{away}'))[1] === 0) await new Promise(setImmediate);
    await store.record('away', 0, result(0));
    await heard.reach(1);
    expect(heard.events[0]).toMatchObject({ batchId: 'away', index: 0 });
    await listening.close();
    requests.disconnect();
  });
});
