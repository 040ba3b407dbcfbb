import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  ApiError,
  DocumentReader,
  type GroupPlan,
  parseChatCompletion,
  planChat,
  RedisFileStore,
  refusedItem,
} from '@app/batches';
import { type Config, loadConfig } from '@app/config';
import { Engine, HeldDocuments } from '@app/inference';
import { RedisResultStore } from '@app/results';
import { FileSystemBlobStore } from '@app/storage';
import { Logger } from '@nestjs/common';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { Drain, HandBackError } from './drain.js';
import { GroupAnswerer } from './group-answerer.js';
import { PartCombiner } from './part-combiner.js';
import { PartResults } from './part-results.js';
import { type ModelPromptEncoder, openPromptEncoder } from './prompt-encoder.js';

/** The tiny model's tokens are hardly longer than characters. */
const CONTEXT = 1024;
const BATCH = 'batch_1';

let server: RedisServer;
let redis: Redis;
let folder: string;
let results: RedisResultStore;
let engine: Engine;
let config: Config;
let encoder: ModelPromptEncoder;
let drain: Drain;
let answerer: GroupAnswerer;
let combiner: PartCombiner;
let documents: DocumentReader;

beforeAll(async () => {
  Logger.overrideLogger(false);
  server = await startRedis();
  redis = new Redis(server.url);
  results = new RedisResultStore(redis);
  folder = await mkdtemp(join(tmpdir(), 'combiner-'));
  const modelPath = join(folder, 'tiny.gguf');
  writeTinyGguf(modelPath, { contextLength: CONTEXT });
  engine = await Engine.open({ modelPath, cacheDir: join(folder, 'graphs'), precision: 'f32', threads: 1 });
  config = loadConfig({ LONGHAUL_MODEL: modelPath });
  encoder = await openPromptEncoder(config, false);
  const blobs = new FileSystemBlobStore(join(folder, 'blobs'));
  documents = new DocumentReader(new RedisFileStore(redis), blobs, { contextLength: CONTEXT });
});
afterAll(async () => {
  await engine?.close();
  redis?.disconnect();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(async () => {
  vi.restoreAllMocks();
  await redis.flushall();
  drain = new Drain();
  answerer = new GroupAnswerer(config, results, engine, new HeldDocuments(engine), drain);
  combiner = new PartCombiner(config, results, encoder, answerer);
});

const DOCUMENT = Array.from({ length: 60 }, (_, i) => `Clause ${i} binds the tenant. It ends in ${i} days.`).join(
  '\n\n',
);

const plansOf = async (change: object = {}, document = DOCUMENT): Promise<GroupPlan[]> => {
  const messages = [{ role: 'user', content: `${document}\n\nWho?` }];
  const body = { model: 'tiny', messages, truncation: 'map_reduce', max_tokens: 4, temperature: 0, seed: 1, ...change };
  return planChat(BATCH, parseChatCompletion(body), documents, encoder, config.compression, encoder.endsLine);
};
const answerAll = async (plans: readonly GroupPlan[]): Promise<void> => {
  for (const [i, plan] of plans.entries()) {
    await answerer.answer(plan, `${i}`);
    await combiner.combine(plan, `${i}`);
  }
};
interface Body {
  readonly choices: { message: { content: string } }[];
  readonly usage: Record<string, unknown> & { prompt_tokens: number; completion_tokens: number; total_tokens: number };
  readonly parts: { index: number; tokens: number; content: string; finish_reason: string }[];
}
const recorded = async (): Promise<Body> => (await results.get(BATCH, 0))?.response?.body as Body;

describe('PartCombiner', () => {
  it('answers from the answers to all parts, once the last is there', async () => {
    const plans = await plansOf({ n: 2 });
    expect(plans).toHaveLength(3);
    await results.expect(BATCH, 1);
    await answerAll(plans.slice(1));
    expect(await recorded()).toBeUndefined();
    const generate = vi.spyOn(engine, 'generate');
    await answerAll(plans.slice(0, 1));
    expect(generate).toHaveBeenCalledTimes(1 + 2);
    const { choices, usage, parts } = await recorded();
    expect(choices).toHaveLength(2);
    const kept = plans.map(({ items }) => items[0]!.truncation!.kept);
    expect(parts.map(({ index, tokens }) => [index, tokens])).toEqual(kept.map((tokens, i) => [i, tokens]));
    for (const { content, finish_reason } of parts) {
      expect(content).toEqual(expect.any(String));
      expect(finish_reason).toMatch(/stop|length/);
    }
    const { tokens } = plans[0]!.items[0]!.truncation!;
    expect(usage['truncation']).toEqual({ mode: 'map_reduce', tokens, kept: tokens });
    // All that was read, the prompt that combines included.
    const read = plans.reduce((sum, { prefix, items }) => sum + prefix.length + items[0]!.suffix.length, 0);
    const last = generate.mock.calls.at(-1)![0];
    expect(usage.prompt_tokens).toBeGreaterThan(read + last.suffix.length);
    expect(usage.completion_tokens).toBeLessThanOrEqual(4 * 3 + 2 * 4);
    expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
    expect(await results.counts(BATCH)).toEqual({ total: 1, completed: 1, failed: 0 });
  });

  it('combines in several steps what does not fit one prompt', async () => {
    // Answers of full length, with text in them: no control tokens.
    const withoutEnd = { '0': -100, '1': -100, '2': -100 };
    const long = Array.from({ length: 4 }, () => DOCUMENT).join('\n\n');
    const plans = await plansOf({ max_tokens: 120, temperature: 1, logit_bias: withoutEnd }, long);
    await results.expect(BATCH, 1);
    const texts = vi.spyOn(encoder, 'encode');
    await answerAll(plans);
    const { parts } = await recorded();
    expect(parts).toHaveLength(plans.length);
    const prompts = texts.mock.calls.map(([messages]) => messages.at(-1)!.content);
    expect(prompts.some((text) => /\n\nParts 1 to \d+: /.test(text))).toBe(true);
  });

  it('asks nothing again that another run has answered', async () => {
    const plans = await plansOf();
    await results.expect(BATCH, 1);
    await answerer.answer(plans[0]!, '0');
    const parts = new PartResults(results);
    const [first] = (await parts.read(BATCH, { index: 0 }, 0, 1))!;
    const generate = vi.spyOn(engine, 'generate');
    // The run after a loss, from the beginning.
    await answerAll(plans);
    expect(generate).toHaveBeenCalledTimes(plans.length);
    const [told] = (await recorded()).parts;
    expect(told!.content).toBe((first!.response!.body as Body).choices[0]!.message.content);
    await answerAll(plans);
    expect(generate).toHaveBeenCalledTimes(plans.length);
  });

  it('combines in one job only, and in that one again where it was interrupted', async () => {
    const plans = await plansOf();
    await results.expect(BATCH, 1);
    for (const [i, plan] of plans.entries()) await answerer.answer(plan, `${i}`);
    drain.start(60);
    await expect(combiner.combine(plans[1]!, '1')).rejects.toThrow(HandBackError);
    answerer = new GroupAnswerer(config, results, engine, new HeldDocuments(engine), new Drain());
    combiner = new PartCombiner(config, results, encoder, answerer);
    await combiner.combine(plans[2]!, '2');
    expect(await recorded()).toBeUndefined();
    await combiner.combine(plans[1]!, '1');
    expect((await recorded()).parts).toHaveLength(plans.length);
  });

  it('fails an item with the first of its parts that fails', async () => {
    const plans = await plansOf();
    await results.expect(BATCH, 1);
    const item = plans[1]!.items[0]!;
    await answerer.answer({ ...plans[1]!, items: [{ ...item, suffix: Array<number>(CONTEXT).fill(5) }] }, '1');
    await answerAll(plans);
    expect((await results.get(BATCH, 0))?.response).toMatchObject({
      status_code: 400,
      body: { error: { code: 'context_length_exceeded' } },
    });
    expect(await results.counts(BATCH)).toEqual({ total: 1, completed: 0, failed: 1 });
  });

  it('leaves an item alone that has its result', async () => {
    const plans = await plansOf();
    await results.expect(BATCH, 1);
    for (const [i, plan] of plans.entries()) await answerer.answer(plan, `${i}`);
    await results.record(BATCH, 0, refusedItem(BATCH, ApiError.invalid('cancelled meanwhile')));
    const generate = vi.spyOn(engine, 'generate');
    await combiner.combine(plans[0]!, '0');
    expect(generate).not.toHaveBeenCalled();
  });
});
