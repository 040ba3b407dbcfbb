import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf } from './api-alone.js';
import { endOfBatch, fileLines, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

const MODEL = 'smollm2-135m-instruct';

let redis: RedisServer;
let longhaul: Longhaul;
let client: OpenAI;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url);
  client = longhaul.client;
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const messages = [{ role: 'user' as const, content: 'Name three rivers of Europe, one a line.' }];
const ask = { model: MODEL, messages, max_completion_tokens: 24, temperature: 0 };

/** All chunks of a stream, and what they say together, by choice. */
async function gather(stream: AsyncIterable<OpenAI.ChatCompletionChunk>) {
  const chunks: OpenAI.ChatCompletionChunk[] = [];
  const texts: string[] = [];
  const logprobs: OpenAI.ChatCompletionTokenLogprob[] = [];
  for await (const chunk of stream) {
    chunks.push(chunk);
    for (const { index, delta, logprobs: entries } of chunk.choices) {
      texts[index] = (texts[index] ?? '') + (delta.content ?? '');
      logprobs.push(...(entries?.content ?? []));
    }
  }
  return { chunks, texts, logprobs };
}

describe('chat completions', () => {
  it('stream what they answer whole, token by token, with log-probabilities and usage', async () => {
    const whole = await client.chat.completions.create({ ...ask, logprobs: true, top_logprobs: 2 });
    const stream = await client.chat.completions.create({
      ...ask,
      logprobs: true,
      top_logprobs: 2,
      stream: true,
      stream_options: { include_usage: true },
    });
    const { chunks, texts, logprobs } = await gather(stream);
    expect(texts).toEqual([whole.choices[0]!.message.content]);
    expect(logprobs.map(({ token }) => token)).toEqual(whole.choices[0]!.logprobs!.content!.map(({ token }) => token));
    expect(logprobs[0]!.top_logprobs).toHaveLength(2);
    // Not all at once at the end.
    expect(chunks.length).toBeGreaterThan(10);
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe(whole.choices[0]!.finish_reason);
    const { completion_tokens, total_tokens } = whole.usage!;
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage: { completion_tokens, total_tokens } });
    expect(chunks[0]!.system_fingerprint).toBe(whole.system_fingerprint);
  });

  it('run with the helpers of the client', async () => {
    const runner = client.chat.completions.stream({ ...ask, stream_options: { include_usage: true } });
    const final = await runner.finalChatCompletion();
    expect(final.choices[0]!.message.content).toBe(
      (await client.chat.completions.create(ask)).choices[0]!.message.content,
    );
    expect(final.usage?.total_tokens).toBeGreaterThan(0);
  });

  it('give several choices, each with its own seed, streamed or not, also in a batch', async () => {
    const several = { ...ask, temperature: 1, seed: 11, n: 3 };
    const whole = await client.chat.completions.create(several);
    const contents = whole.choices.map(({ message }) => message.content);
    expect(whole.choices.map(({ index }) => index)).toEqual([0, 1, 2]);
    expect(new Set(contents).size).toBe(3);
    expect((await gather(await client.chat.completions.create({ ...several, stream: true }))).texts).toEqual(contents);
    const second = await client.chat.completions.create({ ...several, n: 1, seed: 12 });
    expect(second.choices[0]!.message.content).toBe(contents[1]);
    expect(whole.usage!.prompt_tokens).toBe(second.usage!.prompt_tokens);
    expect(whole.usage!.completion_tokens).toBeGreaterThan(second.usage!.completion_tokens);
    const batch = await endOfBatch(longhaul, await startBatch(longhaul, [line('several', several)]));
    const [output] = await fileLines(longhaul, batch.output_file_id);
    const choices = output?.response?.body.choices as OpenAI.ChatCompletion.Choice[];
    expect(choices.map(({ message }) => message.content)).toEqual(contents);
  });

  it('shun and prefer tokens as asked', async () => {
    const request = { ...ask, max_completion_tokens: 6, logprobs: true };
    const tokens = async (more: object) => {
      const answer = await client.chat.completions.create({ ...request, ...more });
      return answer.choices[0]!.logprobs!.content!.map(({ token }) => token);
    };
    const free = await tokens({});
    // Of the default model: ' the'.
    expect(await tokens({ logit_bias: { 260: 100 } })).toEqual(Array(6).fill(' the'));
    expect(await tokens({ logit_bias: { 260: -100 } })).not.toContain(' the');
    expect(new Set(await tokens({ logit_bias: { 260: 100 }, temperature: 1.5 }))).toEqual(new Set([' the']));
    expect(await tokens({ frequency_penalty: 0, presence_penalty: 0, logit_bias: {} })).toEqual(free);
    expect(await tokens({ temperature: 1, top_p: 0 })).toEqual(free);
    const error = await errorOf(client.chat.completions.create({ ...ask, logit_bias: { 99999999: 1 } }));
    expect(error).toMatchObject({ status: 400, param: 'logit_bias', code: 'invalid_value' });
  });

  it('never stream a part of a stop string', async () => {
    const whole = (await client.chat.completions.create(ask)).choices[0]!.message.content!;
    const stop = whole.slice(12, 18);
    const { chunks, texts } = await gather(await client.chat.completions.create({ ...ask, stop, stream: true }));
    expect(texts).toEqual([whole.slice(0, whole.indexOf(stop))]);
    expect(chunks.at(-1)!.choices[0]!.finish_reason).toBe('stop');
  });

  it('stop their work when the client goes away, streamed or not', async () => {
    const path = join(import.meta.dirname, '../examples/documents/federalist_10.txt');
    const content = `${(await readFile(path, 'utf8')).slice(0, 6000)}\n\nTell all of it again.`;
    const long = {
      model: MODEL,
      messages: [{ role: 'user' as const, content }],
      max_completion_tokens: 3000,
      logit_bias: { 0: -100, 2: -100 },
    };
    const stream = await client.chat.completions.create({ ...long, stream: true });
    for await (const chunk of stream) {
      if (chunk.choices[0]?.delta.content) break;
    }
    await longhaul.worker.printed(/cancelled batch=chatcmpl-/);
    const leaving = new AbortController();
    const answer = client.chat.completions.create(long, { signal: leaving.signal });
    setTimeout(() => leaving.abort(), 300);
    await expect(answer).rejects.toThrow(OpenAI.APIUserAbortError);
    // The worker is free for the next one.
    const next = await client.chat.completions.create({ ...ask, max_completion_tokens: 2 });
    expect(next.usage?.completion_tokens).toBe(2);
    expect(longhaul.worker.count(/answered batch=.*custom_id=chatcmpl/)).toBeGreaterThan(0);
  });
});

describe('a worker that is lost while it answers', () => {
  it('is followed by another one that goes on with the same stream', async () => {
    const server = await startRedis();
    const fragile = await startLonghaul(server.url, { LONGHAUL_LOCK_SECONDS: '1' }, (dataDir) => {
      const model = join(dataDir, 'tiny.gguf');
      writeTinyGguf(model, { contextLength: 2048 });
      return { LONGHAUL_MODEL: model };
    });
    try {
      // It cannot end before it is that long.
      const more = { max_completion_tokens: 1500, logit_bias: { 0: -100, 2: -100 }, temperature: 1, seed: 5 };
      const request = { ...ask, ...more, model: 'tiny' };
      const whole = await fragile.client.chat.completions.create(request);
      const texts: string[] = [];
      for await (const chunk of await fragile.client.chat.completions.create({ ...request, stream: true })) {
        texts.push(chunk.choices[0]?.delta.content ?? '');
        if (texts.length === 10) {
          await fragile.worker.kill('SIGKILL');
          await fragile.startWorker();
        }
      }
      expect(texts.join('')).toBe(whole.choices[0]!.message.content);
      expect(fragile.worker.count(/its worker was lost/)).toBe(1);
    } finally {
      await fragile.stop();
      await server.stop();
    }
  });
});

describe('structured answers', () => {
  const question = [{ role: 'user' as const, content: 'Who was James Madison? Answer in JSON.' }];
  const schema = {
    type: 'object',
    properties: {
      name: { type: 'string' },
      office: { enum: ['president', 'senator', 'judge'] },
      born: { type: 'integer', minimum: 1700, maximum: 1800 },
    },
    required: ['name', 'office', 'born'],
    additionalProperties: false,
  };
  const response_format = {
    type: 'json_schema' as const,
    json_schema: { name: 'person', strict: true, schema },
  };

  it.each([0, 1.5])('follow a schema at temperature %d, whole, streamed and in a batch', async (temperature) => {
    const request = { model: MODEL, messages: question, temperature, seed: 3, max_tokens: 80, response_format };
    const parsed = await client.chat.completions.parse(request);
    const person = parsed.choices[0]!.message.parsed as unknown as Record<string, unknown>;
    expect(Object.keys(person)).toEqual(['name', 'office', 'born']);
    expect(schema.properties.office.enum).toContain(person['office']);
    expect(Number.isInteger(person['born'])).toBe(true);
    const streamed = await gather(await client.chat.completions.create({ ...request, stream: true }));
    expect(streamed.texts).toEqual([parsed.choices[0]!.message.content]);
    const batch = await endOfBatch(longhaul, await startBatch(longhaul, [line('a', request)]));
    const [output] = await fileLines(longhaul, batch.output_file_id);
    expect(output?.response?.body.choices[0].message.content).toBe(parsed.choices[0]!.message.content);
  });

  it('are any object for json_object', async () => {
    const answer = await client.chat.completions.create({
      model: MODEL,
      messages: question,
      temperature: 0,
      max_tokens: 80,
      response_format: { type: 'json_object' },
    });
    const { message, finish_reason } = answer.choices[0]!;
    expect(message.content).toMatch(/^\{/);
    if (finish_reason === 'stop') expect(JSON.parse(message.content!)).toBeTypeOf('object');
  });

  it('are refused where the schema cannot be followed', async () => {
    const unusable = { ...response_format, json_schema: { name: 'loop', schema: { $ref: '#' } } };
    const error = await errorOf(
      client.chat.completions.create({ model: MODEL, messages: question, response_format: unusable }),
    );
    const param = 'response_format.json_schema.schema';
    expect(error).toMatchObject({ status: 400, param, code: 'invalid_json_schema' });
    expect(error.message).toContain('refers to itself');
    const pattern = { type: 'object', properties: { a: { type: 'string', pattern: '(?=x)' } } };
    const named = await errorOf(
      client.chat.completions.create({
        model: MODEL,
        messages: question,
        response_format: { type: 'json_schema', json_schema: { name: 'p', schema: pattern } },
      }),
    );
    expect(named.param).toBe(`${param}.properties.a.pattern`);
  });
});

describe('text completions', () => {
  it('go on with text and with token ids, one or many, whole and streamed', async () => {
    const request = { model: MODEL, max_tokens: 8, temperature: 0 };
    const one = await client.completions.create({ ...request, prompt: 'The capital of France is', logprobs: 2 });
    expect(one).toMatchObject({ object: 'text_completion', model: MODEL, id: expect.stringMatching(/^cmpl-/) });
    expect(one.choices[0]!.text).toContain('Paris');
    const { tokens, token_logprobs, top_logprobs, text_offset } = one.choices[0]!.logprobs!;
    expect(tokens!.join('')).toBe(one.choices[0]!.text);
    expect(token_logprobs).toHaveLength(8);
    expect(Object.keys(top_logprobs![0]!)).toHaveLength(2);
    expect(text_offset!.slice(0, 2)).toEqual([0, tokens![0]!.length]);
    expect(one.usage).toMatchObject({ prompt_tokens: 5, completion_tokens: 8, total_tokens: 13 });

    const prompt = ['The capital of France is', 'Water boils at'];
    const many = await client.completions.create({ ...request, prompt, n: 2, seed: 5 });
    expect(many.choices.map(({ index }) => index)).toEqual([0, 1, 2, 3]);
    expect(many.choices.slice(0, 2).map(({ text }) => text)).toEqual(Array(2).fill(one.choices[0]!.text));
    const texts: string[] = [];
    let usage: unknown;
    for await (const chunk of await client.completions.create({
      ...request,
      prompt,
      n: 2,
      seed: 5,
      stream: true,
      stream_options: { include_usage: true },
    })) {
      for (const { index, text } of chunk.choices) texts[index] = (texts[index] ?? '') + text;
      usage = chunk.usage;
    }
    expect(texts).toEqual(many.choices.map(({ text }) => text));
    expect(usage).toEqual(many.usage);
  });

  it.each([
    [{ prompt: [99_999_999, 1] }, 'invalid_value'],
    [{ prompt: 'a' }, 'invalid_value'],
    [{ prompt: 'word '.repeat(9000) }, 'context_length_exceeded'],
    [{ prompt: 'one two', max_tokens: 8192 }, 'context_length_exceeded'],
  ])('say what is wrong with a prompt: %o', async (change, code) => {
    const error = await errorOf(client.completions.create({ model: MODEL, ...change }));
    expect(error).toMatchObject({ status: 400, param: 'prompt', code });
  });

  it('begin a prompt of token ids as given', async () => {
    const request = { model: MODEL, max_tokens: 4, temperature: 0 };
    const [asText, asTokens] = await Promise.all([
      client.completions.create({ ...request, prompt: 'Once upon a time' }),
      client.completions.create({ ...request, prompt: [6403, 1980, 253, 655] }),
    ]);
    expect(asTokens.choices[0]!.text).toBe(asText.choices[0]!.text);
  });
});
