import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf, until } from './api-alone.js';
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
const END_OF_TEXT = 0;
const END_OF_MESSAGE = 2;

let redis: RedisServer;
let longhaul: Longhaul;
let document: string;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url);
  const path = join(import.meta.dirname, '../examples/documents/federalist_51.txt');
  document = (await readFile(path, 'utf8')).slice(0, 2000);
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const ITEMS = 20;

/** A first item that is answered soon, and others whose answers cannot end before 2,000 tokens: minutes of work. */
const longBatch = () =>
  Array.from({ length: ITEMS }, (_, i) =>
    line(`item-${i}`, {
      model: MODEL,
      messages: [{ role: 'user', content: `${document}\n\nTell a long story about number ${i}.` }],
      max_completion_tokens: i === 0 ? 2 : 2000,
      logit_bias: { [END_OF_MESSAGE]: -100, [END_OF_TEXT]: -100 },
      temperature: 0,
    }),
  );

const started = (id: string) =>
  until(async () => ((await longhaul.client.batches.retrieve(id)).request_counts?.completed ?? 0) > 0);

/** Checks that every line is in one of the two files, those not answered with `code`. */
const checkFiles = async (batch: OpenAI.Batch, code: string): Promise<OutputLine[]> => {
  const output = await fileLines(longhaul, batch.output_file_id);
  const errors = await fileLines(longhaul, batch.error_file_id);
  expect(errors.length).toBeGreaterThanOrEqual(ITEMS - 1);
  for (const { response, error } of errors) expect({ response, code: error?.code }).toEqual({ response: null, code });
  expect(new Set([...output, ...errors].map(({ custom_id }) => custom_id)).size).toBe(ITEMS);
  expect(batch.request_counts).toEqual({ total: ITEMS, completed: output.length, failed: errors.length });
  const sum = (count: (usage: OpenAI.CompletionUsage) => number) =>
    output.reduce((total, { response }) => total + count(response?.body.usage), 0);
  expect(batch.usage).toEqual({
    input_tokens: sum((usage) => usage.prompt_tokens),
    input_tokens_details: { cached_tokens: sum((usage) => usage.prompt_tokens_details?.cached_tokens ?? 0) },
    output_tokens: sum((usage) => usage.completion_tokens),
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: sum((usage) => usage.total_tokens),
  });
  return output;
};

describe('a batch that ends before it is done', () => {
  it('keeps what is complete when it is cancelled, and frees its worker', async () => {
    const id = await startBatch(longhaul, longBatch());
    await started(id);
    const cancelling = await longhaul.client.batches.cancel(id);
    expect(cancelling).toMatchObject({ status: 'cancelling', cancelling_at: expect.any(Number) });
    const batch = await endOfBatch(longhaul, id);
    expect(batch).toMatchObject({ status: 'cancelled', cancelled_at: expect.any(Number), completed_at: null });
    await longhaul.worker.printed(new RegExp(`cancelled batch=${id}`));
    const output = await checkFiles(batch, 'batch_cancelled');
    expect(output.map(({ custom_id }) => custom_id)).toContain('item-0');
    const again = await errorOf(longhaul.client.batches.cancel(id));
    expect(again).toBeInstanceOf(OpenAI.ConflictError);
    expect(again.message).toContain("Cannot cancel a batch with status 'cancelled'.");
    await longhaul.client.files.delete(batch.input_file_id);
  });

  it('expires at the end of its completion window with what is complete', async () => {
    const id = await startBatch(longhaul, longBatch(), { completion_window: '1h' });
    const { created_at, expires_at } = await longhaul.client.batches.retrieve(id);
    expect(expires_at).toBe(created_at + 3600);
    await started(id);
    // However long it took until then: the hour is over now.
    const now = Math.floor(Date.now() / 1000);
    const client = new Redis(redis.url);
    await client.hset(`longhaul:{batches}:record:${id}`, 'expires_at', now);
    client.disconnect();
    const batch = await endOfBatch(longhaul, id);
    expect(batch).toMatchObject({ status: 'expired', expired_at: expect.any(Number), completion_window: '1h' });
    expect(batch.expired_at).toBeGreaterThanOrEqual(now);
    await longhaul.worker.printed(new RegExp(`cancelled batch=${id}`));
    const output = await checkFiles(batch, 'batch_expired');
    expect(output.map(({ custom_id }) => custom_id)).toContain('item-0');
  });

  it('ends without files when it was cancelled before any worker saw it', async () => {
    await longhaul.worker.kill('SIGTERM');
    const id = await startBatch(longhaul, longBatch());
    expect((await longhaul.client.batches.cancel(id)).status).toBe('cancelling');
    await longhaul.startWorker();
    const batch = await endOfBatch(longhaul, id);
    expect(batch).toMatchObject({
      status: 'cancelled',
      in_progress_at: null,
      output_file_id: null,
      error_file_id: null,
    });
    const late = await startBatch(longhaul, longBatch().slice(0, 1));
    const error = await endOfBatch(longhaul, late).then(() => errorOf(longhaul.client.batches.cancel(late)));
    expect(error.message).toContain("Cannot cancel a batch with status 'completed'.");
  });
});
