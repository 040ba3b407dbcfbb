import { ApiError, answeredItem, type PlannedItem, refusedItem } from '@app/batches';
import { RedisResultStore } from '@app/results';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { LineResults } from './line-results.js';

let server: RedisServer;
let redis: Redis;
let results: RedisResultStore;
let lines: LineResults;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  results = new RedisResultStore(redis);
  lines = new LineResults(results);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
});
beforeEach(() => redis.flushall());

const item = (index: number, prompt?: PlannedItem['prompt']): PlannedItem => ({
  index,
  customId: `line-${index}`,
  ...(prompt && { prompt }),
  suffix: [1],
  request: { model: 'tiny' },
});
const prompts = [0, 1, 2].map((number) => item(7, { number, of: 3 }));

/** A chat completion as the engine's answer to one prompt. */
const answer = (text: string, tokens: number) => ({
  created: 1,
  model: 'tiny',
  system_fingerprint: 'fp',
  choices: [{ index: 0, message: { content: text }, logprobs: null, finish_reason: 'stop' }],
  usage: {
    prompt_tokens: 10,
    completion_tokens: tokens,
    total_tokens: 10 + tokens,
    prompt_tokens_details: { cached_tokens: 4 },
  },
});
const answered = (text: string, tokens = 1) => answeredItem('line-7', answer(text, tokens));

it('records a chat as it is, and a text completion of one prompt as such', async () => {
  await results.expect('batch', 2);
  await lines.record('batch', item(0), answeredItem('line-0', answer('chat', 1)));
  await lines.record('batch', item(1, { number: 0, of: 1 }), answeredItem('line-1', answer('text', 1)));
  expect((await results.get('batch', 0))?.response?.body).toEqual(answer('chat', 1));
  expect(await results.get('batch', 1)).toMatchObject({
    custom_id: 'line-1',
    response: {
      body: { id: expect.stringMatching(/^cmpl-\w{32}$/), object: 'text_completion', choices: [{ text: 'text' }] },
    },
  });
  expect(await lines.remaining('batch', [item(0), item(1, { number: 0, of: 1 }), item(2)])).toEqual([item(2)]);
});

it('records a line of several prompts with the last of them, in their order, and counts it once', async () => {
  await results.expect('batch', 8);
  await lines.record('batch', prompts[2]!, answered('c', 3));
  await lines.record('batch', prompts[0]!, answered('a', 1));
  expect(await results.get('batch', 7)).toBeUndefined();
  expect(await lines.remaining('batch', prompts)).toEqual([prompts[1]]);
  await lines.record('batch', prompts[0]!, answered('another run', 9));
  await lines.record('batch', prompts[1]!, answered('b', 2));
  expect((await results.get('batch', 7))?.response?.body).toMatchObject({
    choices: [
      { index: 0, text: 'a' },
      { index: 1, text: 'b' },
      { index: 2, text: 'c' },
    ],
    usage: { prompt_tokens: 30, completion_tokens: 6, total_tokens: 36, prompt_tokens_details: { cached_tokens: 12 } },
  });
  expect(await results.counts('batch')).toEqual({ total: 8, completed: 1, failed: 0 });
  expect(await results.usage('batch')).toEqual({ input: 30, cached: 12, output: 6 });
  expect(await lines.remaining('batch', prompts)).toEqual([]);
  const besides = (await redis.keys('*')).filter((key) => !key.includes('{batch}'));
  expect(besides).toHaveLength(2);
  for (const key of besides) expect(await redis.ttl(key)).toBeGreaterThan(0);
});

it('records a line with the first prompt that is refused', async () => {
  await results.expect('batch', 8);
  await lines.record('batch', prompts[1]!, refusedItem('line-7', ApiError.invalid('Too long.', 'prompt[1]')));
  expect(await results.get('batch', 7)).toMatchObject({
    custom_id: 'line-7',
    response: { status_code: 400, body: { error: { param: 'prompt[1]' } } },
  });
  await lines.record('batch', prompts[0]!, answered('a'));
  expect(await results.counts('batch')).toEqual({ total: 8, completed: 0, failed: 1 });
});

it('makes up for a run that died between the last prompt and its line', async () => {
  await results.expect('batch', 8);
  // What such a run leaves behind.
  for (const { prompt } of prompts) await results.record('batch-7', prompt!.number, answered(`${prompt!.number}`));
  expect(await lines.remaining('batch', [prompts[1]!])).toEqual([]);
  expect((await results.get('batch', 7))?.response?.body).toMatchObject({ object: 'text_completion' });
});
