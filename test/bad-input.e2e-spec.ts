import { openAsBlob } from 'node:fs';
import { truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { errorOf } from './api-alone.js';
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
import { writeTinyGguf } from './tiny-gguf.js';

const CONTEXT = 512;
const MAX_LINE_BYTES = 4096;

let redis: RedisServer;
let longhaul: Longhaul;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url, { LONGHAUL_MAX_LINE_BYTES: String(MAX_LINE_BYTES) }, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, { contextLength: CONTEXT });
    return { LONGHAUL_MODEL: model };
  });
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const messages = [{ role: 'user' as const, content: 'Hello?' }];
const ask = (change: object = {}) => ({ model: 'tiny', messages, max_tokens: 2, ...change });
const askAbout = (fileId: string) =>
  ask({
    messages: [
      {
        role: 'user',
        content: [
          { type: 'file', file: { file_id: fileId } },
          { type: 'text', text: 'Why?' },
        ],
      },
    ],
  });

const upload = async (content: Buffer | string, purpose: 'batch' | 'user_data' = 'user_data'): Promise<string> =>
  (await longhaul.client.files.create({ file: await toFile(Buffer.from(content), 'upload'), purpose })).id;

const run = async (lines: (object | string)[] | Buffer, extra: object = {}) => {
  const batch = await endOfBatch(longhaul, await startBatch(longhaul, lines, extra));
  const output = await fileLines(longhaul, batch.output_file_id);
  const errors = await fileLines(longhaul, batch.error_file_id);
  return { batch, output, errors };
};

const refusal = ({ custom_id, response, error }: OutputLine) => ({
  custom_id,
  status: response?.status_code ?? null,
  param: response?.body.error.param ?? null,
  code: response?.body.error.code ?? error?.code ?? null,
  message: response?.body.error.message ?? error?.message,
});

describe('a batch file with bad lines', () => {
  it('answers the good lines and says of each bad one what is wrong', async () => {
    const long = await upload('word '.repeat(CONTEXT));
    const latin1 = await upload(Buffer.from('caf\xe9', 'latin1'));
    const asBatch = await upload('{}', 'batch');
    const bad: [
      line: object | string,
      status: number | null,
      param: string | null,
      code: string | null,
      says: RegExp,
    ][] = [
      ['not JSON', null, null, 'invalid_json_line', /Line 2 is not valid JSON/],
      ['[1, 2]', null, null, 'invalid_json_line', /must be a JSON object/],
      [{ method: 'POST', url: '/v1/chat/completions', body: ask() }, null, null, 'invalid_custom_id', /custom_id/],
      [line('long line', ask({ user: 'x'.repeat(MAX_LINE_BYTES) })), null, null, 'line_too_long', /at most 4096/],
      ['{"custom_id":"NaN","body":{"compression":{"budget":NaN}}}', null, null, 'invalid_json_line', /valid JSON/],
      [line('good-0', ask()), 400, 'custom_id', 'duplicate_custom_id', /good-0/],
      [
        { custom_id: 'no body', method: 'POST', url: '/v1/chat/completions' },
        400,
        'body',
        'missing_required_parameter',
        /body/,
      ],
      [line('text body', 'hello' as unknown as object), 400, null, null, /JSON object/],
      [{ ...line('GET', ask()), method: 'GET' }, 400, 'method', 'invalid_method', /POST/],
      [{ ...line('url', ask()), url: '/v1/embeddings' }, 400, 'url', 'invalid_url', /chat\/completions/],
      [line('model', ask({ model: 'gpt-9' })), 404, 'model', 'model_not_found', /gpt-9/],
      [line('policy', ask({ compression: { policy: 'zip' } })), 400, 'compression.policy', 'invalid_value', /kvmerger/],
      [
        line('budget 0', ask({ compression: { budget: 0 } })),
        400,
        'compression.budget',
        'invalid_value',
        /greater than 0/,
      ],
      [line('budget 2', ask({ compression: { budget: 2 } })), 400, 'compression.budget', 'invalid_value', /at most 1/],
      [line('budget x', ask({ compression: { budget: 'NaN' } })), 400, 'compression.budget', 'invalid_value', /number/],
      [line('max 0', ask({ max_tokens: 0 })), 400, 'max_tokens', 'invalid_value', /at least 1/],
      [line('max huge', ask({ max_tokens: 1e9 })), 400, 'max_tokens', 'invalid_value', /too large: 1000000000.*512/],
      [line('max', ask({ max_tokens: CONTEXT })), 400, 'messages', 'context_length_exceeded', /512 for the answer/],
      [line('both', ask({ max_completion_tokens: 3 })), 400, 'max_tokens', null, /not both/],
      [line('n', ask({ n: 0 })), 400, 'n', 'invalid_value', /less than 1/],
      [line('stream', ask({ stream: true })), 400, 'stream', 'invalid_value', /not streamed/],
      [line('tools', ask({ tools: [{ type: 'function' }] })), 400, 'tools', 'unsupported_parameter', /not supported/],
      [line('unknown', ask({ frobnicate: 1 })), 400, 'frobnicate', 'unknown_parameter', /frobnicate/],
      [line('no messages', { model: 'tiny' }), 400, 'messages', 'missing_required_parameter', /messages/],
      [
        line('no file', askAbout('file-none')),
        400,
        'messages[0].content[0].file.file_id',
        'file_not_found',
        /file-none/,
      ],
      [line('latin-1', askAbout(latin1)), 400, 'messages[0].content[0].file.file_id', 'invalid_encoding', /UTF-8/],
      [
        line('purpose', askAbout(asBatch)),
        400,
        'messages[0].content[0].file.file_id',
        'invalid_file_purpose',
        /user_data/,
      ],
      [
        line('long document', askAbout(long)),
        400,
        'messages',
        'context_length_exceeded',
        /maximum context length is 512 tokens, but \d{4}/,
      ],
    ];
    const lines = [line('good-0', ask()), ...bad.map(([text]) => text), line('good-1', ask())];
    const { batch, output, errors } = await run(lines);
    expect(batch).toMatchObject({
      status: 'completed',
      request_counts: { total: lines.length, completed: 2, failed: bad.length },
    });
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['good-0', 'good-1']);
    expect(errors).toHaveLength(bad.length);
    for (const [i, [text, status, param, code, says]] of bad.entries()) {
      const found = refusal(errors[i]!);
      const customId = status === null ? null : (text as { custom_id: string }).custom_id;
      expect({ ...found, message: '' }).toEqual({
        custom_id: customId,
        status,
        param,
        code,
        message: '',
      });
      expect(found.message).toMatch(says);
      if (status === null) expect(errors[i]!.error?.line).toBe(i + 2);
      else expect(errors[i]!.error).toBeNull();
    }
  });

  it('reads past wrong encodings', async () => {
    const good = Buffer.from(`${JSON.stringify(line('good', ask()))}\r\n`);
    const latin1 = Buffer.from(`${JSON.stringify(line('caf\xe9', ask()))}\n`, 'latin1');
    const { output, errors } = await run(Buffer.concat([Buffer.from('\ufeff'), good, latin1]));
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['good']);
    expect(errors.map(({ error }) => error?.code)).toEqual(['invalid_encoding']);
    const utf16 = await run(Buffer.from(`\ufeff${JSON.stringify(line('good', ask()))}\n`, 'utf16le'));
    expect(utf16.output).toEqual([]);
    expect(new Set(utf16.errors.map(({ error }) => error?.code))).toEqual(new Set(['invalid_encoding']));
  });

  it('ends where every line is bad, with an error file only', async () => {
    const { batch, errors } = await run(['nonsense', 'more nonsense']);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 2, completed: 0, failed: 2 } });
    expect(batch.output_file_id).toBeNull();
    expect(errors.map(({ error }) => error?.line)).toEqual([1, 2]);
  });

  it('fails as a whole where there is nothing to read', async () => {
    const { batch } = await run(Buffer.from('\n\r\n  \n'));
    expect(batch.status).toBe('failed');
    expect(batch.errors?.data).toEqual([
      { code: 'empty_file', message: 'The batch file has no lines.', param: null, line: null },
    ]);
    await expect(upload('', 'batch')).rejects.toMatchObject({ status: 400, code: 'empty_file' });
  });

  it('fails as a whole where it has more than 50,000 lines', async () => {
    const { batch, output, errors } = await run(Buffer.from('{}\n'.repeat(50_001)));
    expect(batch).toMatchObject({ status: 'failed', failed_at: expect.any(Number), request_counts: { total: 0 } });
    expect(batch.errors?.data).toMatchObject([{ code: 'too_many_tasks', line: 50_001 }]);
    expect([...output, ...errors]).toEqual([]);
  });

  it('is refused at upload where it has more than 200 MiB', async () => {
    const { length: before } = (await longhaul.client.files.list()).data;
    const path = join(longhaul.dataDir, 'large.jsonl');
    await writeFile(path, '');
    await truncate(path, 200 * 1024 * 1024 + 1);
    const file = new File([await openAsBlob(path)], 'large.jsonl');
    const error = await errorOf(longhaul.client.files.create({ file, purpose: 'batch' }));
    expect(error).toMatchObject({ status: 413, param: 'file', code: 'request_too_large' });
    expect((await longhaul.client.files.list()).data).toHaveLength(before);
  });
});

describe('a bad request', () => {
  const refused = async (request: Promise<unknown>): Promise<InstanceType<typeof OpenAI.APIError>> => {
    const error = await request.then(
      () => new Error('it was accepted'),
      (reason: unknown) => reason,
    );
    if (!(error instanceof OpenAI.APIError)) throw error;
    return error;
  };
  const chat = (change: object) =>
    refused(longhaul.client.chat.completions.create(ask(change) as OpenAI.ChatCompletionCreateParamsNonStreaming));

  it('for a batch is refused at once', async () => {
    const fileId = await upload(JSON.stringify(line('a', ask())), 'batch');
    const create = (change: object) =>
      refused(
        longhaul.client.batches.create({
          input_file_id: fileId,
          endpoint: '/v1/chat/completions',
          completion_window: '24h',
          ...change,
        } as OpenAI.BatchCreateParams),
      );
    expect(await create({ input_file_id: 'file-none' })).toMatchObject({ status: 404, param: 'input_file_id' });
    expect(await create({ endpoint: '/v1/embeddings' })).toMatchObject({ status: 400, param: 'endpoint' });
    for (const compression of [{ policy: 'zip' }, { budget: 0 }, { budget: 2 }, { budget: 'NaN' }, 'full']) {
      const error = await create({ compression });
      expect(error.status).toBe(400);
      expect(error.param).toContain('compression');
    }
  });

  it('for a chat completion is refused before or by the worker', async () => {
    expect(await chat({ max_tokens: 0 })).toMatchObject({ status: 400, param: 'max_tokens' });
    expect(await chat({ max_tokens: 1e9 })).toMatchObject({ status: 400, param: 'max_tokens' });
    expect(await chat({ model: 'gpt-9' })).toMatchObject({ status: 404, code: 'model_not_found' });
    expect(await chat({ compression: { policy: 'zip' } })).toMatchObject({ status: 400, param: 'compression.policy' });
    expect(await chat(askAbout('file-none'))).toMatchObject({ status: 400, code: 'file_not_found' });
    const long = [{ role: 'user', content: 'word '.repeat(CONTEXT) }];
    expect(await chat({ messages: long })).toMatchObject({ status: 400, code: 'context_length_exceeded' });
  });

  it('for an empty document is refused at upload', async () => {
    expect(await refused(upload(''))).toMatchObject({ status: 400, code: 'empty_file' });
  });
});
