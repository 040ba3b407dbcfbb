import { createServer } from 'node:net';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { assertRedisReady, connectRedis, connectRedisForRequests, warnAboutRedisSettings } from './redis-connection.js';
import { isRedisUnavailable, RedisUnavailableError } from './redis-errors.js';

let server: RedisServer;
const open: Redis[] = [];

beforeAll(async () => {
  server = await startRedis();
});
afterEach(() => {
  for (const redis of open.splice(0)) redis.disconnect();
});
afterAll(() => server?.stop());

const kept = (redis: Redis): Redis => {
  open.push(redis);
  return redis;
};

describe('assertRedisReady', () => {
  it('resolves where Redis answers', async () => {
    await assertRedisReady(server.url);
  });

  it('says after the time given that there is none, and what to do, without the password', async () => {
    const error = await assertRedisReady('redis://me:p@secret@127.0.0.1:1', 500).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(RedisUnavailableError);
    expect(String(error)).toContain('redis://127.0.0.1:1 cannot be used: no connection within 0.5 s');
    expect(String(error)).toContain('ECONNREFUSED');
    expect(String(error)).toContain('point REDIS_URL at one that runs');
    expect(String(error)).not.toContain('secret');
  });

  it('does not wait for ever for a server that accepts and says nothing', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => silent.once('listening', resolve));
    const { port } = silent.address() as { port: number };
    await expect(assertRedisReady(`redis://127.0.0.1:${port}`, 500)).rejects.toThrow('no connection within 0.5 s');
    silent.close();
  });

  it('says at once that the password is wrong', async () => {
    const admin = kept(new Redis(server.url));
    await admin.config('SET', 'requirepass', 'right');
    try {
      // The reason stands where the time would, had it been waited for.
      const wrong = server.url.replace('//', '//:wrong@');
      await expect(assertRedisReady(wrong, 30_000)).rejects.toThrow(/cannot be used: WRONGPASS/);
      await expect(assertRedisReady(server.url, 30_000)).rejects.toThrow(/cannot be used: NOAUTH/);
    } finally {
      await admin.config('SET', 'requirepass', '');
    }
  });
});

describe('warnAboutRedisSettings', () => {
  it('is silent about a Redis that is safe for jobs and loud about one that is not', async () => {
    const redis = kept(connectRedis(server.url));
    const warn = vi.fn();
    await warnAboutRedisSettings(redis, { warn });
    expect(warn).not.toHaveBeenCalled();
    await redis.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await redis.config('SET', 'appendonly', 'no');
    await warnAboutRedisSettings(redis, { warn });
    await redis.config('SET', 'maxmemory-policy', 'noeviction');
    await redis.config('SET', 'appendonly', 'yes');
    expect(warn.mock.calls.map(([message]) => message)).toEqual([
      expect.stringContaining('maxmemory-policy is "allkeys-lru"'),
      expect.stringContaining('appendonly is "no"'),
    ]);
  });
});

it.each([
  ['maxmemory', '1', 'OOM'],
  ['min-replicas-to-write', '1', 'NOREPLICAS'],
])('counts a Redis that takes no writes (%s %s) as unavailable', async (setting, value, code) => {
  const redis = kept(connectRedis(server.url));
  await redis.config('SET', setting, value);
  const error = await redis.set('a', '1').catch((thrown: unknown) => thrown);
  await redis.config('SET', setting, '0');
  expect(String(error)).toContain(code);
  expect(isRedisUnavailable(error)).toBe(true);
});

describe('connections while Redis is away', () => {
  it('those for requests fail fast, the others wait, both recover, and one line each tells of it', async () => {
    const lines: string[] = [];
    const take = (message: unknown): void => void lines.push(String(message));
    vi.spyOn(Logger.prototype, 'warn').mockImplementation(take);
    vi.spyOn(Logger.prototype, 'log').mockImplementation(take);
    const requests = kept(connectRedisForRequests(server.url));
    const patient = kept(connectRedis(server.url));
    await Promise.all([requests.connect(), patient.connect()]);
    const bothGone = Promise.all([requests, patient].map((r) => new Promise((done) => r.once('close', () => done(0)))));
    await server.kill();
    await bothGone;
    // At once: not because an answer took too long, nor the connection.
    await expect(requests.set('a', '1')).rejects.toThrow("Stream isn't writeable");
    const waiting = patient.set('b', '2');
    const back = new Promise((done) => requests.once('ready', () => done(0)));
    await server.restart();
    expect(await waiting).toBe('OK');
    await back;
    // What failed was not sent later.
    expect(await requests.get('a')).toBeNull();
    expect(lines.filter((line) => line.startsWith('Lost')).length).toBe(2);
    expect(lines.filter((line) => line.endsWith('is back')).length).toBe(2);
  });
});
