import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type OpenAI from 'openai';
import { toFile } from 'openai';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endOfBatch, fileLines, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

/** The tiny model's tokens are hardly longer than characters. */
const CONTEXT = 1024;
/** Some 1,800 tokens: three parts. */
const DOCUMENT = Array.from({ length: 44 }, (_, i) => `Clause ${i} binds the tenant. It ends in ${i} days.`).join(
  '\n\n',
);
const QUESTIONS = ['Who pays?', 'When does it end?', 'What binds the tenant, and for how long?'];

let redis: RedisServer;
let longhaul: Longhaul;
let file: string;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url, { LONGHAUL_LOCK_SECONDS: '2' }, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, { contextLength: CONTEXT });
    return { LONGHAUL_MODEL: model };
  });
  const upload = await toFile(Buffer.from(DOCUMENT), 'lease.txt');
  file = (await longhaul.client.files.create({ file: upload, purpose: 'user_data' })).id;
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

interface Answer {
  readonly choices: { message: { content: string } }[];
  readonly usage: {
    truncation?: { mode: string; tokens: number; kept: number };
    prompt_tokens: number;
    prompt_tokens_details: { cached_tokens: number };
  };
  readonly parts?: { index: number; tokens: number; content: string; finish_reason: string }[];
}
const ask = (question: string, change: object = {}) => ({
  model: 'tiny',
  messages: [
    {
      role: 'user',
      content: [
        { type: 'file', file: { file_id: file } },
        { type: 'text', text: question },
      ],
    },
  ],
  max_completion_tokens: 8,
  temperature: 0,
  ...change,
});
const chat = async (body: object): Promise<Answer> =>
  (await longhaul.client.chat.completions.create(
    body as OpenAI.ChatCompletionCreateParamsNonStreaming,
  )) as unknown as Answer;
const refusal = (work: Promise<unknown>): Promise<unknown> =>
  work.then(() => undefined).catch((error: unknown) => error);

it('refuses a document that is too long unless it is asked to shorten it, and other values by name', async () => {
  expect(await refusal(chat(ask('Who?')))).toMatchObject({ status: 400, code: 'context_length_exceeded' });
  expect(await refusal(chat(ask('Who?', { truncation: 'auto' })))).toMatchObject({
    status: 400,
    param: 'truncation',
    code: 'invalid_value',
    message: expect.stringContaining('error, middle, map_reduce'),
  });
  const job = {
    documents: [file],
    questions: ['Who?'],
    options: { truncation: 7 },
  };
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${longhaul.url}/v1/jobs`, { method: 'POST', headers, body: JSON.stringify(job) });
  expect(await response.json()).toMatchObject({ error: { param: 'options.truncation' } });
});

it('cuts the middle out, and says so', async () => {
  const { usage, parts } = await chat(ask('Who?', { truncation: 'middle' }));
  expect(usage.truncation).toEqual({ mode: 'middle', tokens: expect.any(Number), kept: expect.any(Number) });
  expect(usage.truncation!.kept).toBeLessThan(CONTEXT);
  expect(usage.truncation!.kept).toBeGreaterThan(CONTEXT * 0.8);
  expect(usage.truncation!.tokens).toBeGreaterThan(1.5 * CONTEXT);
  expect(usage.prompt_tokens).toBeLessThanOrEqual(CONTEXT - 8);
  expect(parts).toBeUndefined();
  const next = await chat(ask('When?', { truncation: 'middle' }));
  expect(next.usage.prompt_tokens_details.cached_tokens).toBeGreaterThan(CONTEXT * 0.8);

  const short = await chat({
    ...ask('', { truncation: 'middle' }),
    messages: [{ role: 'user', content: 'Short. Who?' }],
  });
  expect(short.usage).not.toHaveProperty('truncation');

  const text = { model: 'tiny', prompt: `${DOCUMENT}\n\nWho?`, truncation: 'middle', max_tokens: 4 };
  const completion = await longhaul.client.completions.create(text);
  expect((completion as unknown as Answer).usage.truncation).toMatchObject({ mode: 'middle' });
  expect(
    await refusal(longhaul.client.completions.create({ ...text, truncation: 'map_reduce' } as typeof text)),
  ).toMatchObject({
    status: 400,
    param: 'truncation',
    message: expect.stringContaining('/v1/chat/completions'),
  });
});

it('answers part by part and combines, whole or streamed', async () => {
  const request = ask('Who?', { truncation: 'map_reduce', seed: 3 });
  const { choices, usage, parts } = await chat(request);
  expect(parts!.map(({ index, finish_reason }) => [index, typeof finish_reason])).toEqual([
    [0, 'string'],
    [1, 'string'],
    [2, 'string'],
  ]);
  const { tokens } = usage.truncation!;
  expect(usage.truncation).toEqual({ mode: 'map_reduce', tokens, kept: tokens });
  expect(usage.prompt_tokens).toBeGreaterThan(tokens);

  const streaming = { ...request, stream: true, stream_options: { include_usage: true } };
  let text = '';
  let last: unknown;
  for await (const chunk of await longhaul.client.chat.completions.create(
    streaming as unknown as OpenAI.ChatCompletionCreateParamsStreaming,
  )) {
    text += chunk.choices[0]?.delta.content ?? '';
    last = chunk;
  }
  expect(text).toBe(choices[0]!.message.content);
  expect(last).toMatchObject({ parts, usage: { truncation: usage.truncation } });
});

it('reads each part once for all questions of a batch, also where a worker is lost on the way', async () => {
  const questions = Array.from({ length: 12 }, (_, i) => `${QUESTIONS[i % 3]} Number ${i}.`);
  const options = { truncation: 'map_reduce', compression: { policy: 'full' } };
  const id = await startBatch(
    longhaul,
    questions.map((question, i) => line(`item-${i}`, ask(question, options))),
  );
  await longhaul.worker.printed(new RegExp(`answered batch=${id} item=\\d+ part=`), 5);
  await longhaul.worker.kill('SIGKILL');
  await longhaul.startWorker();
  const batch = await endOfBatch(longhaul, id);
  expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 12, completed: 12, failed: 0 } });
  const answers = await fileLines(longhaul, batch.output_file_id);
  expect(answers.map(({ custom_id }) => custom_id)).toEqual(questions.map((_, i) => `item-${i}`));
  for (const { response } of answers) expect(response!.body.parts).toHaveLength(3);
  const rows = (await (await fetch(`${longhaul.url}/v1/jobs/${id}/results?format=json`)).json()) as {
    parts: unknown;
  }[];
  expect(rows.map(({ parts }) => parts)).toEqual(answers.map(({ response }) => response!.body.parts));
  // 12 questions on 3 parts: all but the first of each part, in each of two runs, come from its cache.
  const usages = answers.map(({ response }) => response!.body.usage);
  const cached = usages.reduce((sum, { prompt_tokens_details: details }) => sum + details.cached_tokens, 0);
  expect(cached).toBeGreaterThan(8 * usages[0].truncation.tokens);
});

it('cuts alike for all questions of a job, which the command line may make', async () => {
  const longhaulBin = join(import.meta.dirname, '../dist/apps/cli/src/main.js');
  const questions = QUESTIONS.flatMap((question) => ['--question', question]);
  const options = ['--truncation', 'middle', '--max-tokens', '4'];
  const submitted = await promisify(execFile)(
    process.execPath,
    [longhaulBin, 'submit', file, ...questions, ...options],
    {
      env: { ...process.env, LONGHAUL_URL: longhaul.url },
    },
  );
  const batch = await endOfBatch(longhaul, submitted.stdout.trim());
  const usages = (await fileLines(longhaul, batch.output_file_id)).map((answer) => answer.response!.body.usage);
  expect(usages).toHaveLength(3);
  for (const { truncation, kv_cache } of usages) {
    expect(truncation).toEqual(usages[0].truncation);
    expect(kv_cache.tokens).toBe(usages[0].kv_cache.tokens);
    expect(kv_cache.tokens).toBeGreaterThan(truncation.kept);
  }
});
