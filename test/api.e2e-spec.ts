import { once } from 'node:events';
import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import {
  ApiError,
  answeredItem,
  type ChatJob,
  groupQueue,
  PLANNING_QUEUE,
  QUEUE_PREFIX,
  refusedItem,
} from '@app/batches';
import { RedisResultStore } from '@app/results';
import { FileSystemBlobStore } from '@app/storage';
import { type Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import OpenAI, { APIError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ApiProcess, freePort, launchApi, startApi } from './api-process.js';
import { type RedisServer, startRedis } from './redis-server.js';

const MODEL = 'smollm2-135m-instruct';
const MAX_FILE_BYTES = 2_000_000;
const MAX_LINE_BYTES = 20_000;
const BATCH = { endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
const QUESTION = { model: MODEL, messages: [{ role: 'user' as const, content: 'What is a batch?' }] };

let directory: string;
let server: RedisServer;
let redis: Redis;
let results: RedisResultStore;
let blobs: FileSystemBlobStore;
let api: ApiProcess;
let client: OpenAI;

const environment = (): Record<string, string> => ({
  REDIS_URL: server.url,
  LONGHAUL_DATA_DIR: directory,
  LONGHAUL_MAX_FILE_BYTES: String(MAX_FILE_BYTES),
  LONGHAUL_MAX_LINE_BYTES: String(MAX_LINE_BYTES),
  LONGHAUL_DRAIN_SECONDS: '1',
});

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'api-'));
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
  redis.on('error', () => undefined);
  results = new RedisResultStore(redis);
  blobs = new FileSystemBlobStore(join(directory, 'blobs'));
  api = await startApi(environment());
  client = new OpenAI({ baseURL: `${api.url}/v1`, apiKey: 'none', maxRetries: 0 });
});
afterAll(async () => {
  await api?.stop();
  await results?.close();
  redis?.disconnect();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

/** Every file in the blob store, unfinished ones included. */
const storedFiles = async (): Promise<string[]> =>
  (await readdir(join(directory, 'blobs'), { recursive: true, withFileTypes: true }).catch(() => []))
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name));

const until = async (what: () => Promise<boolean>): Promise<void> => {
  while (!(await what())) await delay(20);
};

/** Status and error of a plain request. */
async function fetchError(path: string, init: RequestInit = {}) {
  const response = await fetch(`${api.url}${path}`, init);
  const { error } = (await response.json()) as { error: Record<string, unknown> };
  expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
  return { status: response.status, ...error };
}

const post = (path: string, body: string, type = 'application/json') =>
  fetchError(path, { method: 'POST', body, headers: { 'content-type': type } });

const form = (...fields: [name: string, value: string | Blob][]): FormData => {
  const data = new FormData();
  for (const [name, value] of fields) data.append(name, value as Blob);
  return data;
};

/** The error that a client call is answered with. */
const errorOf = async (call: Promise<unknown>): Promise<APIError> => {
  const error = await call.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(APIError);
  return error as APIError;
};

describe('files', () => {
  it('stores an upload and gives it back byte for byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 256));
    const file = await client.files.create({ file: await toFile(bytes, 'Prüfung "1".txt'), purpose: 'user_data' });
    expect(file).toEqual({
      id: expect.stringMatching(/^file-\w+$/),
      object: 'file',
      bytes: bytes.length,
      created_at: expect.any(Number),
      filename: 'Prüfung "1".txt',
      purpose: 'user_data',
      status: 'processed',
    });
    expect(Math.abs(file.created_at - Date.now() / 1000)).toBeLessThan(10);
    expect(await client.files.retrieve(file.id)).toEqual(file);
    const content = await client.files.content(file.id);
    expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true);
    expect(content.headers.get('content-length')).toBe('300000');
    expect(content.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each([
    ['before', ['purpose', 'batch'], ['file', new File(['{}\n'], 'a.jsonl')]],
    ['after', ['file', new File(['{}\n'], 'a.jsonl')], ['purpose', 'batch']],
  ] as [string, [string, string | Blob], [string, string | Blob]][])(
    'takes the purpose %s the file',
    async (_, a, b) => {
      const response = await fetch(`${api.url}/v1/files`, { method: 'POST', body: form(a, b) });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ bytes: 3, filename: 'a.jsonl', purpose: 'batch' });
    },
  );

  /** Begins an upload whose end is up to the test. */
  const beginUpload = () => {
    const upload = httpRequest(`${api.url}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=xx' },
    });
    upload.write('--xx\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n');
    upload.write('--xx\r\ncontent-disposition: form-data; name="file"; filename="slow.txt"\r\n\r\n');
    upload.write('x'.repeat(500_000));
    return upload;
  };
  const unfinished = async (): Promise<number[]> => {
    const path = join(directory, 'blobs', '.unfinished');
    const names = await readdir(path).catch(() => []);
    return Promise.all(names.map(async (name) => (await stat(join(path, name)).catch(() => ({ size: 0 }))).size));
  };

  it('writes to disk while the upload still arrives', async () => {
    const upload = beginUpload();
    await until(async () => ((await unfinished())[0] ?? 0) > 300_000);
    upload.end('the end\r\n--xx--\r\n');
    const [response] = (await once(upload, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    let body = '';
    for await (const chunk of response) body += chunk;
    expect(response.statusCode).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ bytes: 500_007 });
    expect(await unfinished()).toEqual([]);
  });

  it('removes what had arrived when the client goes away', async () => {
    const before = await storedFiles();
    const upload = beginUpload();
    upload.on('error', () => undefined);
    await until(async () => ((await unfinished())[0] ?? 0) > 300_000);
    upload.destroy();
    await until(async () => (await unfinished()).length === 0);
    expect(await storedFiles()).toEqual(before);
  });

  const jsonl = new File(['{}\n'], 'a.jsonl');
  it.each([
    ['an empty file', form(['purpose', 'batch'], ['file', new File([], 'a')]), 400, 'file', 'empty_file'],
    ['no file', form(['purpose', 'batch']), 400, 'file', 'missing_required_parameter'],
    ['no purpose', form(['file', jsonl]), 400, 'purpose', 'missing_required_parameter'],
    ['a purpose of ours', form(['file', jsonl], ['purpose', 'batch_output']), 400, 'purpose', 'invalid_value'],
    ['an unknown purpose', form(['file', jsonl], ['purpose', 'assistants']), 400, 'purpose', 'invalid_value'],
    ['two files', form(['file', jsonl], ['file', jsonl], ['purpose', 'batch']), 400, null, null],
    ['a file in another field', form(['purpose', 'batch'], ['document', jsonl]), 400, null, null],
    [
      'a file over the limit',
      form(['purpose', 'batch'], ['file', new File(['x'.repeat(MAX_FILE_BYTES + 1)], 'a')]),
      413,
      'file',
      'request_too_large',
    ],
  ])('refuses %s and leaves nothing behind', async (_, body, status, param, code) => {
    const before = await storedFiles();
    const keys = await redis.keys('longhaul:file:*');
    const error = await fetchError('/v1/files', { method: 'POST', body });
    expect(error).toMatchObject({ status, type: 'invalid_request_error', param, code });
    await until(async () => (await unfinished()).length === 0);
    expect(await storedFiles()).toEqual(before);
    expect(await redis.keys('longhaul:file:*')).toHaveLength(keys.length);
  });

  it('refuses what is not multipart, and a multipart body that breaks off', async () => {
    expect(await post('/v1/files', '{}')).toMatchObject({ status: 400, param: 'file' });
    const before = await storedFiles();
    const cut = '--xx\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf';
    expect(await post('/v1/files', cut, 'multipart/form-data; boundary=xx')).toMatchObject({ status: 400 });
    await until(async () => (await unfinished()).length === 0);
    expect(await storedFiles()).toEqual(before);
  });

  it('says that a file does not exist', async () => {
    for (const call of [client.files.retrieve('file-none'), client.files.content('file-none')]) {
      expect(await errorOf(call)).toMatchObject({
        status: 404,
        type: 'invalid_request_error',
        error: { message: 'No such File object: file-none' },
      });
    }
    expect(await fetchError('/v1/files/..%2F..%2Fetc%2Fpasswd/content')).toMatchObject({ status: 404 });
  });
});

describe('batches', () => {
  const upload = async (purpose: 'batch' | 'user_data' = 'batch') =>
    (await client.files.create({ file: await toFile(Buffer.from('{}\n'), 'a.jsonl'), purpose })).id;

  it('creates a batch, queues its planning once, and counts from the results', async () => {
    const input_file_id = await upload();
    const compression = { policy: 'kvmerger', budget: 0.5 };
    const batch = await client.batches.create({ ...BATCH, input_file_id, metadata: { a: 'b' }, compression } as never);
    expect(batch).toEqual({
      id: expect.stringMatching(/^batch_\w+$/),
      object: 'batch',
      endpoint: '/v1/chat/completions',
      errors: null,
      input_file_id,
      completion_window: '24h',
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      created_at: expect.any(Number),
      in_progress_at: null,
      expires_at: batch.created_at + 86_400,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      metadata: { a: 'b' },
      compression,
    });
    expect(await client.batches.retrieve(batch.id)).toEqual(batch);
    const planning = new Queue(PLANNING_QUEUE, { connection: redis, prefix: QUEUE_PREFIX });
    expect((await planning.getJob(batch.id))?.data).toEqual({ batchId: batch.id });
    await planning.close();

    await results.expect(batch.id, 3);
    await results.record(batch.id, 0, answeredItem('a', {}));
    await results.record(batch.id, 1, refusedItem('b', ApiError.invalid('no')));
    expect((await client.batches.retrieve(batch.id)).request_counts).toEqual({ total: 3, completed: 1, failed: 1 });
  });

  it('knows files that do not exist and files of another purpose', async () => {
    const unknown = await errorOf(client.batches.create({ ...BATCH, input_file_id: 'file-none' }));
    expect(unknown).toMatchObject({ status: 404, type: 'invalid_request_error', param: 'input_file_id' });
    const document = await upload('user_data');
    const wrong = await errorOf(client.batches.create({ ...BATCH, input_file_id: document }));
    expect(wrong).toMatchObject({ status: 400, param: 'input_file_id', code: 'invalid_value' });
    expect(wrong.message).toContain("has purpose 'user_data'");
    const none = await errorOf(client.batches.retrieve('batch_none'));
    expect(none).toMatchObject({ status: 404, type: 'invalid_request_error' });
  });

  it.each([
    ['input_file_id', { input_file_id: undefined }, 'missing_required_parameter'],
    ['input_file_id', { input_file_id: 7 }, 'invalid_value'],
    ['endpoint', { endpoint: '/v1/embeddings' }, 'invalid_value'],
    ['completion_window', { completion_window: '1h' }, 'invalid_value'],
    ['metadata', { metadata: { a: 1 } }, 'invalid_value'],
    ['metadata', { metadata: { a: 'x'.repeat(513) } }, 'invalid_value'],
    ['metadata', { metadata: ['a'] }, 'invalid_value'],
    ['compression.policy', { compression: { policy: 'zip' } }, 'invalid_value'],
    ['compression.budget', { compression: { policy: 'kvmerger', budget: 0 } }, 'invalid_value'],
    ['compression.budget', { compression: { policy: 'kvmerger', budget: 2 } }, 'invalid_value'],
    ['compression.budget', { compression: { policy: 'kvmerger', budget: 'NaN' } }, 'invalid_value'],
    ['priority', { priority: 1 }, 'unknown_parameter'],
  ])('names %s when it is wrong: %j', async (param, change, code) => {
    const body = JSON.stringify({ ...BATCH, input_file_id: 'file-none', ...change });
    expect(await post('/v1/batches', body)).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      message: expect.stringContaining(param),
      param,
      code,
    });
  });
});

describe('requests that cannot be read', () => {
  it.each([
    ['malformed JSON', '{"model": ', 'application/json', 400, 'could not parse the JSON body'],
    ['a body that is no object', '[]', 'application/json', 400, 'must be a JSON object'],
    ['another content type', '{}', 'text/plain', 400, 'content-type: application/json'],
    ['an unknown charset', '{}', 'application/json; charset=klingon', 415, 'unsupported charset'],
    ['a body over the limit', JSON.stringify('x'.repeat(MAX_LINE_BYTES)), 'application/json', 413, '20000 bytes'],
  ])('refuses %s', async (_, body, type, status, message) => {
    for (const path of ['/v1/batches', '/v1/chat/completions']) {
      expect(await post(path, body, type)).toMatchObject({
        status,
        type: 'invalid_request_error',
        message: expect.stringContaining(message),
      });
    }
  });

  it('answers unknown addresses in the same shape', async () => {
    for (const path of ['/', '/v1/nothing', '/v1/files/a/b/c', '/%E0%A4%A']) {
      const error = await fetchError(path);
      expect([400, 404]).toContain(error.status);
      expect(error).toMatchObject({ type: 'invalid_request_error' });
    }
    expect(await fetchError('/v1/nothing?x=1')).toMatchObject({
      status: 404,
      message: 'Unknown request URL: GET /v1/nothing',
      code: 'unknown_url',
    });
  });
});

describe('models and health', () => {
  it('lists the one model', async () => {
    const { data } = await client.models.list();
    expect(data).toEqual([{ id: MODEL, object: 'model', created: expect.any(Number), owned_by: 'longhaul' }]);
    expect(await client.models.retrieve(MODEL)).toEqual(data[0]);
    expect(await errorOf(client.models.retrieve('gpt-4/x'))).toMatchObject({
      status: 404,
      code: 'model_not_found',
      error: { message: "The model 'gpt-4/x' does not exist or you do not have access to it." },
    });
  });

  it('tells queue depths and workers', async () => {
    const worker = new Worker(groupQueue(MODEL), async () => undefined, { connection: redis, prefix: QUEUE_PREFIX });
    await worker.waitUntilReady();
    const response = await fetch(`${api.url}/health`);
    expect(response.status).toBe(200);
    const depth = { waiting: expect.any(Number), active: 0, delayed: 0 };
    expect(await response.json()).toEqual({
      status: 'ok',
      redis: 'ok',
      queues: { planning: depth, groups: depth, finalizing: depth },
      workers: 1,
    });
    await worker.close();
  });
});

describe('chat completions', () => {
  const completion = { id: 'x', object: 'chat.completion', choices: [{ index: 0, message: { content: 'An answer' } }] };

  /** Takes chat jobs as a worker does, and records what `answer` makes of the request. */
  const answering = async (answer: (job: Job<ChatJob>, body: unknown) => Promise<void>): Promise<Worker<ChatJob>> => {
    const worker = new Worker<ChatJob>(
      groupQueue(MODEL),
      async (job) => answer(job, JSON.parse(String(await blobs.read(job.data.bodyKey)))),
      { connection: redis, prefix: QUEUE_PREFIX },
    );
    worker.on('error', () => undefined);
    await worker.waitUntilReady();
    return worker;
  };

  it('returns what the worker recorded, and cleans up', async () => {
    let seen: Job<ChatJob> | undefined;
    const worker = await answering(async (job, body) => {
      seen = job;
      expect(body).toEqual(QUESTION);
      expect(await redis.pubsub('NUMSUB', `longhaul:progress:{${job.data.completionId}}`)).toContain(1);
      await results.record(job.data.completionId, 0, answeredItem('chat', completion));
    });
    const start = performance.now();
    expect(await client.chat.completions.create(QUESTION)).toMatchObject(completion);
    // Woken by the event, not by the two-second look.
    expect(performance.now() - start).toBeLessThan(1500);
    const { completionId, bodyKey } = seen!.data;
    expect(seen?.opts).toMatchObject({ priority: 1, jobId: completionId });
    expect(await blobs.size(bodyKey)).toBeUndefined();
    expect(await redis.ttl(`longhaul:results:{${completionId}}:items`)).toBeGreaterThan(0);
    expect(await redis.ttl(`longhaul:results:{${completionId}}:counts`)).toBeGreaterThan(0);
    await worker.close();
  });

  it('passes on the error that the worker recorded, with its status', async () => {
    const worker = await answering(async (job) => {
      const error = ApiError.invalid('Too long: 9000 tokens.', 'messages', 'context_length_exceeded');
      await results.record(job.data.completionId, 0, refusedItem('chat', error));
    });
    expect(await errorOf(client.chat.completions.create(QUESTION))).toMatchObject({
      status: 400,
      param: 'messages',
      code: 'context_length_exceeded',
    });
    await worker.close();
  });

  it.each([
    ['messages', { messages: [] }, 400],
    ['max_tokens', { max_tokens: 0 }, 400],
    ['stream', { stream: true }, 400],
    ['model', { model: 'gpt-4' }, 404],
    ['model', { model: undefined }, 400],
    ['compression.policy', { compression: { policy: 'zip' } }, 400],
  ])('refuses a wrong %s before it is queued: %j', async (param, change, status) => {
    const error = await post('/v1/chat/completions', JSON.stringify({ ...QUESTION, ...change }));
    expect(error).toMatchObject({ status, type: 'invalid_request_error', param });
  });

  it('says after its time that nobody answered, and takes the job back', async () => {
    const hasty = await startApi({ ...environment(), LONGHAUL_CHAT_TIMEOUT_SECONDS: '1' });
    const response = await fetch(`${hasty.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(QUESTION),
    });
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { type: 'server_error', code: 'timeout' } });
    const health = (await (await fetch(`${hasty.url}/health`)).json()) as { queues: { groups: object } };
    expect(health.queues.groups).toMatchObject({ waiting: 0 });
    expect((await storedFiles()).filter((path) => path.includes('/chat/'))).toEqual([]);
    expect(await hasty.stop()).toBe(0);
  });

  it('survives a restart of Redis while it waits', async () => {
    let begun = (): void => undefined;
    const taken = new Promise<void>((resolve) => (begun = resolve));
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const worker = await answering(async (job) => {
      begun();
      await released;
      await results.record(job.data.completionId, 0, answeredItem('chat', completion));
    });
    const answer = client.chat.completions.create(QUESTION);
    await taken;
    await server.restart();
    release();
    expect(await answer).toMatchObject(completion);
    await worker.close();
  });

  it('is ended with 503 when the service is stopped and nobody answers in the drain time', async () => {
    const stopped = await startApi(environment());
    const waiting = fetch(`${stopped.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(QUESTION),
    });
    const queue = new Queue(groupQueue(MODEL), { connection: redis, prefix: QUEUE_PREFIX });
    await until(async () => (await queue.getJobCounts('prioritized'))['prioritized'] === 1);
    const code = stopped.stop();
    const response = await waiting;
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect(await code).toBe(0);
    await queue.drain();
    await queue.close();
  });
});

describe('when Redis is away', () => {
  const calls = (): [string, Promise<unknown>][] => [
    ['retrieve a file', client.files.retrieve('file-none')],
    ['upload', toFile(Buffer.from('{}\n'), 'a').then((file) => client.files.create({ file, purpose: 'batch' }))],
    ['create a batch', client.batches.create({ ...BATCH, input_file_id: 'file-none' })],
    ['retrieve a batch', client.batches.retrieve('batch_none')],
    ['chat', client.chat.completions.create(QUESTION)],
  ];

  const expectUnavailable = async (): Promise<void> => {
    const before = await storedFiles();
    const start = performance.now();
    for (const [what, call] of calls().map(([name, made]) => [name, errorOf(made)] as const)) {
      expect(await call, what).toMatchObject({ status: 503, type: 'server_error', code: 'redis_unavailable' });
    }
    const health = await fetch(`${api.url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toEqual({ status: 'unavailable', redis: 'unavailable' });
    expect(performance.now() - start).toBeLessThan(8000);
    expect(await storedFiles()).toEqual(before);
    // What needs no Redis still works.
    expect((await client.models.list()).data).toHaveLength(1);
  };
  const recover = () => until(async () => (await fetch(`${api.url}/health`)).ok);

  it('fails within seconds, loses nothing and recovers when it is killed and started again', async () => {
    const file = await client.files.create({ file: await toFile(Buffer.from('{}\n'), 'a.jsonl'), purpose: 'batch' });
    await server.kill();
    await expectUnavailable();
    await server.restart();
    await recover();
    expect(await client.files.retrieve(file.id)).toEqual(file);
    const batch = await client.batches.create({ ...BATCH, input_file_id: file.id });
    expect(batch.status).toBe('validating');
    expect(api.output()).not.toMatch(/unhandled/i);
  });

  it('fails within seconds when it hangs without closing its connections', async () => {
    process.kill(server.pid, 'SIGSTOP');
    try {
      await expectUnavailable();
    } finally {
      process.kill(server.pid, 'SIGCONT');
    }
    await recover();
    expect(await errorOf(client.files.retrieve('file-none'))).toMatchObject({ status: 404 });
  });

  it('says so within seconds at start, in one line without a stack, and exits with 1', async () => {
    const start = performance.now();
    const { ended, output } = launchApi({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
    expect(await ended).toBe(1);
    expect(performance.now() - start).toBeLessThan(10_000);
    expect(output()).toMatch(
      /^Redis at redis:\/\/127\.0\.0\.1:\d+ cannot be used: .*point REDIS_URL at one that runs\.\n$/,
    );
  });
});

describe('start and end', () => {
  it('lists all bad variables and exits with 1', async () => {
    const { ended, output } = launchApi({ PORT: 'http', LONGHAUL_COMPRESSION: 'kvmerger:2' });
    expect(await ended).toBe(1);
    expect(output()).toContain('2 environment variables cannot be used');
    expect(output()).toContain('PORT: expected an integer');
    expect(output()).toContain('LONGHAUL_COMPRESSION: expected policy:budget');
    expect(output()).not.toContain('    at ');
  });

  it('says that the port is taken', async () => {
    const { ended, output } = launchApi({ ...environment(), PORT: new URL(api.url).port });
    expect(await ended).toBe(1);
    expect(output()).toMatch(/Cannot listen \(EADDRINUSE\).*Set PORT/);
  });

  it('ends when the process that started it is gone', async () => {
    const orphan = await startApi(environment());
    const ended = once(orphan.child, 'exit');
    orphan.child.disconnect();
    expect(await ended).toEqual([0, null]);
  });

  it('closes within a moment on SIGTERM when nothing is going on', async () => {
    const idle = await startApi(environment());
    await fetch(`${idle.url}/health`);
    const start = performance.now();
    expect(await idle.stop()).toBe(0);
    expect(performance.now() - start).toBeLessThan(3000);
  });
});
