import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { answeredItem, type GroupPlan } from '@app/batches';
import { type Config, loadConfig } from '@app/config';
import { Engine, HeldDocuments } from '@app/inference';
import { type ItemResult, RedisResultStore } from '@app/results';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { Drain, HandBackError } from './drain.js';
import { GroupAnswerer } from './group-answerer.js';
import { LeftElsewhereError, NoRoomError } from './placement.js';

const CONTEXT = 512;

let server: RedisServer;
let redis: Redis;
let folder: string;
let results: RedisResultStore;
let engine: Engine;
let config: Config;
let drain: Drain;
let answerer: GroupAnswerer;

beforeAll(async () => {
  Logger.overrideLogger(false);
  server = await startRedis();
  redis = new Redis(server.url);
  results = new RedisResultStore(redis);
  folder = await mkdtemp(join(tmpdir(), 'answerer-'));
  const modelPath = join(folder, 'tiny.gguf');
  writeTinyGguf(modelPath, { contextLength: CONTEXT });
  engine = await Engine.open({ modelPath, cacheDir: join(folder, 'graphs'), precision: 'f32', threads: 1 });
  config = loadConfig({ LONGHAUL_MODEL: modelPath, LONGHAUL_MAX_GROUP_ATTEMPTS: '3' });
});
afterAll(async () => {
  await engine?.close();
  redis?.disconnect();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  await redis.flushall();
  drain = new Drain();
  answerer = new GroupAnswerer(config, results, engine, new HeldDocuments(engine), drain);
});

const plan = (items: number, change: Partial<GroupPlan> = {}): GroupPlan => ({
  batchId: 'batch_1',
  model: 'tiny',
  compression: { policy: 'kvmerger', budget: 0.5, questions: 'seen', reading: 'exact' },
  prefix: Array.from({ length: 100 }, (_, i) => 3 + (i % 200)),
  items: Array.from({ length: items }, (_, index) => ({
    index,
    customId: `item-${index}`,
    suffix: [10 + index, 11],
    request: { model: 'tiny', max_tokens: 3, seed: index },
  })),
  ...change,
});

const recorded = async (): Promise<ItemResult[]> => {
  const found: ItemResult[] = [];
  for await (const { result } of results.all('batch_1')) found.push(result);
  return found;
};

describe('GroupAnswerer', () => {
  it('answers what is not recorded yet, from one cache', async () => {
    const group = plan(4);
    await results.expect('batch_1', 4);
    await results.record('batch_1', 1, answeredItem('item-1', 'from another run'));
    await answerer.answer(group, '0');
    const found = await recorded();
    expect(found.map(({ custom_id }) => custom_id)).toEqual(['item-0', 'item-1', 'item-2', 'item-3']);
    expect(found[1]?.response?.body).toBe('from another run');
    const usages = [0, 2, 3].map((i) => (found[i]!.response!.body as { usage: Record<string, unknown> }).usage);
    expect(usages.map((usage) => usage['prompt_tokens_details'])).toEqual([
      { cached_tokens: 0 },
      { cached_tokens: 100 },
      { cached_tokens: 100 },
    ]);
    // 2 layers of 2 KV heads of size 16: key, value, mass and mark of 50 entries and one more, as float32.
    const kv_cache = {
      policy: 'kvmerger',
      budget: 0.5,
      tokens: 100,
      entries: 50,
      bytes: 51 * 2 * 2 * (2 * 16 + 2) * 4,
    };
    for (const usage of usages) expect(usage).toMatchObject({ prompt_tokens: 102, kv_cache });
    await answerer.answer(group, '0');
    expect(await recorded()).toEqual(found);
  });

  it('compresses alike when it goes on with a group, answered questions included', async () => {
    const group = (questions: 'seen' | 'unseen') => {
      const whole = plan(3, { compression: { policy: 'snapkv', budget: 0.6, questions, reading: 'exact' } });
      const items = whole.items.map((item) => ({
        ...item,
        request: { ...item.request, logprobs: true, top_logprobs: 5 },
      }));
      return { ...whole, items };
    };
    const lastChoice = async () => {
      const { body } = (await results.get('batch_1', 2))!.response!;
      return (body as { choices: unknown[] }).choices[0];
    };
    await results.expect('batch_1', 3);
    await answerer.answer(group('seen'), '0');
    // Sums may come out a little otherwise where fewer items go on together.
    const inOneGo = JSON.parse(JSON.stringify(await lastChoice()), (key, value) =>
      key === 'logprob' ? expect.closeTo(value, 4) : value,
    );

    await redis.flushall();
    await results.expect('batch_1', 3);
    for (const index of [0, 1]) await results.record('batch_1', index, answeredItem(`item-${index}`, 'before'));
    await answerer.answer(group('seen'), '0');
    expect(await lastChoice()).toEqual(inOneGo);

    await redis.flushall();
    await results.expect('batch_1', 3);
    await answerer.answer(group('unseen'), '0');
    expect(await lastChoice()).not.toEqual(inOneGo);
  });

  it('has the document read as its plan says', async () => {
    const prefill = vi.spyOn(engine, 'prefill');
    await results.expect('batch_1', 1);
    await answerer.answer(
      plan(1, { compression: { policy: 'h2o', budget: 0.5, questions: 'seen', reading: 'merging' } }),
      '0',
    );
    expect(prefill).toHaveBeenCalledExactlyOnceWith(expect.objectContaining({ reading: 'merging' }), expect.anything());
    prefill.mockRestore();
  });

  it('asks as many items at once as go on together in the engine', async () => {
    let asked = 0;
    let most = 0;
    const counting = Object.create(engine, {
      generate: {
        value: async (...call: Parameters<Engine['generate']>) => {
          most = Math.max(most, ++asked);
          try {
            return await engine.generate(...call);
          } finally {
            asked--;
          }
        },
      },
    }) as Engine;
    await results.expect('batch_1', 40);
    await new GroupAnswerer(config, results, counting, new HeldDocuments(counting), drain).answer(plan(40), '0');
    expect(most).toBe(engine.model.itemsAtOnce);
    expect(asked).toBe(0);
    expect(await recorded()).toHaveLength(40);
  });

  it('says of each item that does not fit what is wrong and answers the others', async () => {
    const group = plan(3);
    const items = group.items.map((item, i) => (i === 1 ? { ...item, suffix: Array<number>(CONTEXT).fill(5) } : item));
    await results.expect('batch_1', 3);
    await answerer.answer({ ...group, items }, '0');
    expect((await recorded()).map(({ response }) => response?.status_code)).toEqual([200, 400, 200]);
    expect((await results.get('batch_1', 1))?.response?.body).toMatchObject({
      error: { code: 'context_length_exceeded', message: expect.stringContaining('612 in the prompt') },
    });
  });

  it('refuses all items of a prefix that does not fit', async () => {
    await results.expect('batch_1', 2);
    await answerer.answer(plan(2, { prefix: Array<number>(CONTEXT + 1).fill(5), promptField: 'prompt' }), '0');
    expect((await recorded()).map(({ response }) => response?.status_code)).toEqual([400, 400]);
    expect((await results.get('batch_1', 1))?.response?.body).toMatchObject({ error: { param: 'prompt' } });
  });

  it('gives a group back that does not fit beside others, costing it no attempt, and refuses what never fits', async () => {
    const model = { ...engine.model, documentBytes: 40_000 };
    const narrow = Object.create(engine, { model: { value: model } }) as Engine;
    const documents = new HeldDocuments(narrow);
    const narrowAnswerer = new GroupAnswerer(config, results, narrow, documents, drain);
    const other = Array.from({ length: 50 }, (_, i) => 7 + i);
    const lease = documents.lease({ tokens: other, compression: { policy: 'full', budget: 1 }, items: 1 })!;
    await results.expect('batch_1', 2);
    const small = plan(1, { prefix: other.slice(20), compression: { ...plan(1).compression, budget: 0.4 } });
    const onPlaced = vi.fn();
    for (let run = 0; run < 5; run++) {
      await expect(narrowAnswerer.answer(small, '0', { onPlaced })).rejects.toThrow(NoRoomError);
    }
    expect(onPlaced).not.toHaveBeenCalled();
    const waiting = await narrowAnswerer.answer(small, '0', { onPlaced }).catch((error: NoRoomError) => error);
    lease.end();
    await waiting?.room;
    await narrowAnswerer.answer(small, '0', { onPlaced });
    expect(onPlaced).toHaveBeenCalledTimes(1);
    expect((await results.get('batch_1', 0))?.response?.status_code).toBe(200);

    const item = { ...plan(2).items[1]!, index: 1 };
    await narrowAnswerer.answer(plan(2, { items: [item] }), '1');
    expect((await results.get('batch_1', 1))?.response).toMatchObject({
      status_code: 400,
      body: {
        error: { code: 'kv_memory_exceeded', message: expect.stringContaining('100 tokens needs 0.1 MB') },
      },
    });
  });

  it('leaves a group elsewhere only where its document is not held here', async () => {
    await results.expect('batch_1', 2);
    const group = plan(2, { prefix: Array.from({ length: 300 }, (_, i) => 3 + (i % 200)) });
    const elsewhere = vi.fn(async () => 'another');
    await expect(answerer.answer(group, '0', { elsewhere })).rejects.toThrow(LeftElsewhereError);
    await answerer.answer({ ...group, items: group.items.slice(0, 1) }, '0');
    await answerer.answer(group, '0', { elsewhere });
    expect(elsewhere).toHaveBeenCalledTimes(1);
    const { usage } = (await results.get('batch_1', 1))!.response!.body as { usage: object };
    expect(usage).toMatchObject({ prompt_tokens_details: { cached_tokens: 300 }, timing: { prefill_seconds: 0 } });
  });

  it('gives up what no run got any further with, not what moves on', async () => {
    await results.expect('batch_1', 3);
    for (let run = 0; run < 3; run++) await results.beginAttempt('batch_1', '0/3');
    await results.record('batch_1', 0, answeredItem('item-0', ''));
    await answerer.answer(plan(3), '0');
    expect((await recorded()).map(({ response }) => response?.status_code)).toEqual([200, 200, 200]);

    await redis.flushall();
    await results.expect('batch_1', 2);
    for (let run = 0; run < 3; run++) await results.beginAttempt('batch_1', '0/2');
    await answerer.answer(plan(2), '0');
    for (const { response } of await recorded()) {
      expect(response).toMatchObject({
        status_code: 500,
        body: { error: { code: 'worker_lost', type: 'server_error' } },
      });
    }
    expect(await results.counts('batch_1')).toEqual({ total: 2, completed: 0, failed: 2 });
  });

  it('hands the rest back when the worker stops, after the item under way', async () => {
    await results.expect('batch_1', 50);
    const stopping = Object.create(results, {
      record: {
        value: async (...[batchId, index, result]: Parameters<RedisResultStore['record']>) => {
          const recorded = await results.record(batchId, index, result);
          if (index === 2) drain.start(60);
          return recorded;
        },
      },
    }) as RedisResultStore;
    const documents = new HeldDocuments(engine);
    const stopped = new GroupAnswerer(config, stopping, engine, documents, drain).answer(plan(50), '0');
    await expect(stopped).rejects.toThrow(HandBackError);
    const { completed, failed } = await results.counts('batch_1');
    expect(completed).toBeGreaterThanOrEqual(3);
    expect(completed).toBeLessThan(50);
    expect(failed).toBe(0);
    await expect(
      new GroupAnswerer(config, results, engine, new HeldDocuments(engine), drain).answer(plan(50), '0'),
    ).rejects.toThrow(HandBackError);
    expect((await results.counts('batch_1')).completed).toBe(completed);
  });

  it('gives everything up when the time for draining is over', async () => {
    await results.expect('batch_1', 1);
    const group = plan(1);
    const items = group.items.map((item) => ({ ...item, request: { ...item.request, max_tokens: 400 } }));
    const answer = answerer.answer({ ...group, items }, '0');
    drain.start(0);
    await expect(answer).rejects.toThrow(HandBackError);
    expect(await recorded()).toEqual([]);
  });
});
