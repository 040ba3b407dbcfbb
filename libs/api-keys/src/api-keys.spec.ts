import { createHash } from 'node:crypto';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { ApiKeys } from './api-keys.js';

let server: RedisServer;
let redis: Redis;
let now: number;
let keys: ApiKeys;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});
beforeEach(async () => {
  await redis.flushall();
  now = 1_000_000;
  keys = new ApiKeys(redis, () => now);
});

it('knows the keys it made, and no other', async () => {
  expect(await keys.check(undefined)).toEqual({ any: false, valid: false });
  expect(await keys.check('lh-none')).toEqual({ any: false, valid: false });
  const first = await keys.create('first');
  const second = await keys.create('first');
  expect(first.key).toMatch(/^lh-[\w-]{43}$/);
  expect(new Set([first.key, second.key, first.id, second.id]).size).toBe(4);
  for (const { key } of [first, second]) expect(await keys.check(key)).toEqual({ any: true, valid: true });
  for (const wrong of [undefined, '', 'lh-none', first.id, first.key.slice(0, -1), `${first.key} `]) {
    expect(await keys.check(wrong)).toEqual({ any: true, valid: false });
  }
});

it('takes a revoked key no more, and is never again as before the first', async () => {
  const first = await keys.create('first');
  const second = await keys.create('second');
  expect(await keys.revoke(first.id)).toBe(true);
  expect(await keys.revoke(first.id)).toBe(false);
  expect(await keys.revoke('key_')).toBe(false);
  expect(await keys.check(first.key)).toEqual({ any: true, valid: false });
  expect(await keys.count()).toBe(1);
  await keys.revoke(second.id);
  expect(await keys.count()).toBe(0);
  for (const key of [second.key, undefined]) expect(await keys.check(key)).toEqual({ any: true, valid: false });
});

it('is as before the first once it is reset', async () => {
  const { key } = await keys.create('mine');
  await keys.check(key);
  await keys.reset();
  expect(await keys.check(key)).toEqual({ any: false, valid: false });
  expect(await redis.keys('*')).toEqual([]);
});

it('says when a key was last used, to the minute', async () => {
  const { key, ...created } = await keys.create('mine');
  expect(await keys.list()).toEqual([created]);
  const used = async () => (await keys.list())[0]!.last_used_at;
  await keys.check(key);
  expect(await used()).toBe(1_000_000);
  now += 59;
  await keys.check(key);
  expect(await used()).toBe(1_000_000);
  now += 1;
  await keys.check(key);
  expect(await used()).toBe(1_000_060);
});

it.each([
  ['maxmemory', '1', 'OOM'],
  ['min-replicas-to-write', '1', 'NOREPLICAS'],
])('knows its keys where Redis takes no writes (%s %s)', async (setting, value, code) => {
  const { key } = await keys.create('mine');
  await redis.config('SET', setting, value);
  try {
    expect(await keys.check(key)).toEqual({ any: true, valid: true });
    expect(await keys.check('lh-none')).toEqual({ any: true, valid: false });
    await expect(keys.create('another')).rejects.toThrow(new RegExp(`^${code} `));
  } finally {
    await redis.config('SET', setting, '0');
  }
  expect(await keys.list()).toMatchObject([{ name: 'mine', last_used_at: null }]);
  await keys.check(key);
  expect(await keys.list()).toMatchObject([{ name: 'mine', last_used_at: now }]);
});

it('keeps no key, only its hash', async () => {
  const { key } = await keys.create('mine');
  await keys.check(key);
  const hashes = (await redis.keys('*')).filter((name) => !name.endsWith(':made'));
  const stored = JSON.stringify(await Promise.all(hashes.map((name) => redis.hgetall(name))));
  expect(await redis.get('longhaul:{api-keys}:made')).toBe('1');
  expect(stored).not.toContain(key);
  expect(stored).toContain(createHash('sha256').update(key).digest('hex'));
});
