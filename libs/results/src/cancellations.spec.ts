import { once } from 'node:events';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { Cancellations } from './cancellations.js';
import { connectRedis } from './redis-connection.js';

let server: RedisServer;
let redis: Redis;
let cancellations: Cancellations;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
  cancellations = new Cancellations(redis);
});
afterAll(async () => {
  await cancellations?.close();
  redis?.disconnect();
  await server?.stop();
});

it('tells those who watch already, those who come later, and nobody else', async () => {
  const [first, second, other] = await Promise.all(['a', 'a', 'b'].map((id) => cancellations.watch(id)));
  const told = [first, second].map((watch) => once(watch!.signal, 'abort'));
  await cancellations.cancel('a');
  await cancellations.cancel('a');
  await Promise.all(told);
  const late = await cancellations.watch('a');
  expect(late.signal.aborted).toBe(true);
  expect(other!.signal.aborted).toBe(false);
  await Promise.all([first, second, other, late].map((watch) => watch!.stop()));
  expect(await redis.pubsub('CHANNELS', '*')).toEqual([]);
  expect(await redis.ttl('longhaul:results:{a}:cancelled')).toBeGreaterThan(0);
});

it('is heard of by watches that Redis was away from', async () => {
  const watch = await cancellations.watch('c');
  const aborted = once(watch.signal, 'abort');
  await server.restart();
  // Written while nobody is subscribed, as by another process that was back sooner.
  await redis.set('longhaul:results:{c}:cancelled', 1);
  await aborted;
  await watch.stop();
});
