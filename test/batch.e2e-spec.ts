import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type OpenAI from 'openai';
import { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  endOfBatch,
  fileLines,
  type Longhaul,
  line,
  type OutputLine,
  startBatch,
  startLonghaul,
} from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';

const MODEL = 'smollm2-135m-instruct';
const documents = join(import.meta.dirname, '../examples/documents');

let redis: RedisServer;
let longhaul: Longhaul;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url);
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const byCustomId = (lines: OutputLine[]) => new Map(lines.map((output) => [output.custom_id, output.response?.body]));

/** A document as a file part and a question, one batch line for each question. */
const questions = (name: string, fileId: string, texts: string[], more: object = {}): object[] =>
  texts.map((text, i) =>
    line(`${name}-${i}`, {
      model: MODEL,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'file', file: { file_id: fileId } },
            { type: 'text', text },
          ],
        },
      ],
      max_completion_tokens: 8,
      temperature: 0,
      ...more,
    }),
  );

describe('a batch of questions about real documents', () => {
  it('answers from full and from merged caches, each document read once', async () => {
    const ids = await Promise.all(
      ['federalist_51.txt', 'scotus_greene_v_fisher.txt'].map(async (name) => {
        const text = (await readFile(join(documents, name), 'utf8')).slice(0, 6000);
        const file = await longhaul.client.files.create({
          file: await toFile(Buffer.from(text), name),
          purpose: 'user_data',
        });
        return file.id;
      }),
    );
    const asked = ['What is this text about?', 'Who wrote it?', 'Name one argument of the text.'];
    const lines = [
      ...questions('federalist', ids[0]!, asked),
      ...questions('greene', ids[1]!, asked.slice(0, 2)),
      ...questions('whole', ids[0]!, asked.slice(0, 2), { compression: { policy: 'full' } }),
      ...questions('merging', ids[1]!, asked.slice(0, 2), { compression: { reading: 'merging' } }),
    ];
    // Interleaved, as a real file may be.
    lines.sort((a, b) => JSON.stringify(a).length - JSON.stringify(b).length);
    const batch = await endOfBatch(
      longhaul,
      await startBatch(longhaul, lines, { compression: { policy: 'kvmerger', budget: 0.35 } }),
    );
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 9, completed: 9, failed: 0 } });
    expect(batch.error_file_id).toBeNull();
    const output = await fileLines(longhaul, batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(lines.map((l) => (l as { custom_id: string }).custom_id));

    for (const [customId, body] of byCustomId(output)) {
      const { usage, choices } = body;
      expect(choices[0].message).toMatchObject({ role: 'assistant', refusal: null });
      expect(choices[0].message.content.length).toBeGreaterThan(0);
      expect(usage.completion_tokens).toBeLessThanOrEqual(8);
      expect(usage.total_tokens).toBe(usage.prompt_tokens + usage.completion_tokens);
      const { kv_cache: cache } = usage;
      expect(cache.tokens).toBeGreaterThan(1200);
      expect(cache.tokens).toBeLessThan(usage.prompt_tokens);
      // 30 layers, 3 KV heads of size 64: key, value and mass of an entry as float32.
      const fullBytes = cache.tokens * 30 * 3 * (2 * 64 + 2) * 4;
      const whole = customId?.startsWith('whole');
      expect(cache).toMatchObject(whole ? { policy: 'full', budget: 1 } : { policy: 'kvmerger', budget: 0.35 });
      const share = whole ? 1 : 0.35;
      expect(cache.entries / cache.tokens).toBeCloseTo(share, 2);
      expect(cache.bytes / fullBytes).toBeGreaterThan(share * 0.95);
      expect(cache.bytes / fullBytes).toBeLessThan(share * 1.05);
    }
    // Four caches were made: the first item of each read the document, the others found it there.
    for (const name of ['federalist', 'greene', 'whole', 'merging']) {
      const cached = output
        .filter(({ custom_id }) => custom_id?.startsWith(name))
        .map(({ response }) => response?.body.usage.prompt_tokens_details.cached_tokens as number);
      expect(cached.filter((tokens) => tokens === 0)).toHaveLength(1);
      expect(new Set(cached).size).toBe(2);
    }
  });

  it('finds documents inside messages and behind a common system prompt', async () => {
    const texts = await Promise.all(
      ['federalist_51.txt', 'scotus_greene_v_fisher.txt'].map((name) => readFile(join(documents, name), 'utf8')),
    );
    const lines = texts.flatMap((text, d) =>
      ['What is this?', 'Who is named first?'].map((question, q) =>
        line(`${d}-${q}`, {
          model: MODEL,
          messages: [
            { role: 'system', content: 'Answer from the document.' },
            { role: 'user', content: `Document:\n${text.slice(0, 5000)}\n\nQuestion: ${question}` },
          ],
          max_tokens: 4,
          temperature: 0,
        }),
      ),
    );
    lines.push(line('alone', { model: MODEL, messages: [{ role: 'user', content: 'Say hello.' }], max_tokens: 4 }));
    const batch = await endOfBatch(longhaul, await startBatch(longhaul, lines));
    const output = byCustomId(await fileLines(longhaul, batch.output_file_id));
    expect([...output.keys()]).toEqual(['0-0', '0-1', '1-0', '1-1', 'alone']);
    for (const d of [0, 1]) {
      const [first, second] = [output.get(`${d}-0`), output.get(`${d}-1`)];
      expect(first.usage.prompt_tokens_details.cached_tokens).toBe(0);
      expect(second.usage.prompt_tokens_details.cached_tokens).toBe(second.usage.kv_cache.tokens);
      expect(second.usage.kv_cache.tokens).toBeGreaterThan(900);
      expect(first.usage.prompt_tokens - first.usage.kv_cache.tokens).toBeLessThan(40);
    }
    // Nothing was asked: short prefixes stay whole.
    const alone = output.get('alone').usage;
    expect(alone.kv_cache).toMatchObject({ policy: 'full', budget: 1 });
    expect(alone.prompt_tokens - alone.kv_cache.tokens).toBeLessThanOrEqual(32);
  });

  it('answers the same whether items share a cache or not', async () => {
    const text = (await readFile(join(documents, 'federalist_10.txt'), 'utf8')).slice(0, 3000);
    const ask = (question: string) => ({
      model: MODEL,
      messages: [{ role: 'user', content: `${text}\n\n${question}` }] as [{ role: 'user'; content: string }],
      max_tokens: 12,
      temperature: 0,
      logprobs: true,
      top_logprobs: 3,
    });
    const asked = ['What is a faction?', 'Who governs?'];
    const batch = await endOfBatch(
      longhaul,
      await startBatch(
        longhaul,
        asked.map((q) => line(q, ask(q))),
      ),
    );
    const output = byCustomId(await fileLines(longhaul, batch.output_file_id));
    for (const question of asked) {
      const chat = await longhaul.client.chat.completions.create(ask(question));
      expectAlike(output.get(question).choices[0].logprobs.content, chat.choices[0]!.logprobs!.content!);
    }
  });

  it('gives log-probabilities, stops and seeds as asked', async () => {
    const messages = [{ role: 'user' as const, content: 'Count: one, two, three,' }];
    // Ten tokens, whatever they are: none ends the answer.
    const ask = { model: MODEL, messages, max_tokens: 10, seed: 7, logit_bias: { 0: -100, 2: -100 } };
    const first = await longhaul.client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 3 });
    const again = await longhaul.client.chat.completions.create(ask);
    expect(again.choices[0]?.message.content).toBe(first.choices[0]?.message.content);
    expect(first.id).toMatch(/^chatcmpl-/);
    const tokens = first.choices[0]?.logprobs?.content ?? [];
    expect(tokens).toHaveLength(first.usage?.completion_tokens ?? -1);
    for (const { logprob, top_logprobs: top } of tokens) {
      expect(logprob).toBeLessThanOrEqual(0);
      expect(top).toHaveLength(3);
      expect(top[0]!.logprob).toBeGreaterThanOrEqual(top[1]!.logprob);
    }
    const text = first.choices[0]?.message.content ?? '';
    const stop = text.slice(3, 6);
    const stopped = await longhaul.client.chat.completions.create({ ...ask, stop });
    expect(stopped.choices[0]?.message.content).toBe(text.slice(0, text.indexOf(stop)));
    expect(stopped.choices[0]?.finish_reason).toBe('stop');
  });
});

type TokenLogprob = OpenAI.ChatCompletionTokenLogprob;

/**
 * The same tokens with the same probabilities but for the last bits: what one way reads with the prefix the other may read
 * with the question, in 8-bit products of another kind. Two tokens that are nearly as likely may change places, and then other texts follow.
 */
function expectAlike(found: readonly TokenLogprob[], expected: readonly TokenLogprob[]): void {
  expect(found.length).toBeGreaterThan(0);
  for (const [i, { token, logprob }] of found.entries()) {
    const same = expected[i]?.top_logprobs.find((candidate) => candidate.token === token);
    expect(same, `${token} among the most likely tokens`).toBeDefined();
    expect(Math.abs(logprob - same!.logprob)).toBeLessThan(0.35);
    if (expected[i]?.token !== token) return;
  }
}
