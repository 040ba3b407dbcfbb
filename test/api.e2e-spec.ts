import { once } from 'node:events';
import {
  ApiError,
  answeredItem,
  type CompletionJob,
  groupQueue,
  PLANNING_QUEUE,
  QUEUE_PREFIX,
  refusedItem,
} from '@app/batches';
import { AnswerStreams, Cancellations } from '@app/results';
import { type Job, Queue, Worker } from 'bullmq';
import OpenAI, { toFile } from 'openai';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { ApiAlone, BATCH, ENDED_WELL, errorOf, MAX_LINE_BYTES, MODEL, QUESTION, startApi, until } from './api-alone.js';

let api: ApiAlone;

beforeAll(async () => {
  api = await ApiAlone.start();
});
afterAll(() => api?.stop());

describe('batches', () => {
  const upload = async (purpose: 'batch' | 'user_data' = 'batch') =>
    (await api.client.files.create({ file: await toFile(Buffer.from('{}\n'), 'a.jsonl'), purpose })).id;

  it('creates a batch, queues its planning once, and counts from the results', async () => {
    const input_file_id = await upload();
    const compression = { policy: 'kvmerger', budget: 0.5 };
    const batch = await api.client.batches.create({
      ...BATCH,
      input_file_id,
      metadata: { a: 'b' },
      compression,
    } as never);
    expect(batch).toEqual({
      id: expect.stringMatching(/^batch_\w+$/),
      object: 'batch',
      endpoint: '/v1/chat/completions',
      model: MODEL,
      errors: null,
      input_file_id,
      completion_window: '24h',
      status: 'validating',
      output_file_id: null,
      error_file_id: null,
      created_at: expect.any(Number),
      in_progress_at: null,
      expires_at: batch.created_at + 24 * 3600,
      finalizing_at: null,
      completed_at: null,
      failed_at: null,
      expired_at: null,
      cancelling_at: null,
      cancelled_at: null,
      request_counts: { total: 0, completed: 0, failed: 0 },
      usage: {
        input_tokens: 0,
        input_tokens_details: { cached_tokens: 0 },
        output_tokens: 0,
        output_tokens_details: { reasoning_tokens: 0 },
        total_tokens: 0,
      },
      metadata: { a: 'b' },
      compression,
    });
    expect(await api.client.batches.retrieve(batch.id)).toEqual(batch);
    const planning = new Queue(PLANNING_QUEUE, { connection: api.redis, prefix: QUEUE_PREFIX });
    expect((await planning.getJob(batch.id))?.data).toEqual({ batchId: batch.id });
    await planning.close();

    await api.results.expect(batch.id, 3);
    await api.results.record(batch.id, 0, answeredItem('a', {}));
    await api.results.record(batch.id, 1, refusedItem('b', ApiError.invalid('no')));
    expect((await api.client.batches.retrieve(batch.id)).request_counts).toEqual({ total: 3, completed: 1, failed: 1 });
  });

  it('cancels a batch that is not planned yet, once', async () => {
    const input_file_id = await upload();
    const { id } = await api.client.batches.create({ ...BATCH, input_file_id });
    const cancelling = await api.client.batches.cancel(id);
    expect(cancelling).toMatchObject({ status: 'cancelling', cancelling_at: expect.any(Number), cancelled_at: null });
    const again = await errorOf(api.client.batches.cancel(id));
    expect(again).toBeInstanceOf(OpenAI.ConflictError);
    expect(again).toMatchObject({ status: 409, type: 'invalid_request_error', param: 'id', code: null });
    expect(again.message).toContain("Cannot cancel a batch with status 'cancelling'.");
    expect(await errorOf(api.client.batches.cancel('batch_none'))).toMatchObject({ status: 404, param: 'id' });
    expect(await api.refusedPost(`/v1/batches/${id}/cancel`, '{"why":1}')).toMatchObject({
      status: 400,
      param: 'why',
      code: 'unknown_parameter',
    });
    for (const [body, type] of [
      ['[]', 'application/json'],
      ['[1]', 'application/json'],
      ['why', 'text/plain'],
    ] as const) {
      expect(await api.refusedPost(`/v1/batches/${id}/cancel`, body, type)).toMatchObject({ status: 400, param: null });
    }
    const own = await api.refusedPost(`/v1/batches/${id}/cancel`, '{"__proto__":1}');
    expect(own).toMatchObject({ status: 400, param: '__proto__', code: 'unknown_parameter' });
    expect(await errorOf(api.client.files.delete(input_file_id))).toMatchObject({ status: 409 });
  });

  it('lists batches, newest first, page by page', async () => {
    const input_file_id = await upload();
    const ids: string[] = [];
    for (let i = 0; i < 5; i++) ids.unshift((await api.client.batches.create({ ...BATCH, input_file_id })).id);
    await api.results.expect(ids[0]!, 3);
    const page = await api.client.batches.list({ limit: 2 });
    expect(page.data.map(({ id }) => id)).toEqual(ids.slice(0, 2));
    expect(page.data[0]).toEqual(await api.client.batches.retrieve(ids[0]!));
    expect(page.data[0]!.request_counts?.total).toBe(3);
    expect(page.has_more).toBe(true);
    const listed: string[] = [];
    for await (const { id } of api.client.batches.list({ limit: 2 })) listed.push(id);
    expect(listed.slice(0, 5)).toEqual(ids);
    const last = await (await fetch(`${api.url}/v1/batches?after=${listed.at(-1)}`)).json();
    expect(last).toEqual({ object: 'list', data: [], first_id: null, last_id: null, has_more: false });
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=101', 'limit'],
    ['limit=x', 'limit'],
    ['after=batch_none', 'after'],
    ['after=file-1', 'after'],
    ['order=asc', 'order'],
  ])('does not list them for %s', async (query, param) => {
    expect(await api.refused(`/v1/batches?${query}`)).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      param,
      message: expect.stringContaining(param),
    });
  });

  it('knows files that do not exist and files of another purpose', async () => {
    const unknown = await errorOf(api.client.batches.create({ ...BATCH, input_file_id: 'file-none' }));
    expect(unknown).toMatchObject({ status: 404, type: 'invalid_request_error', param: 'input_file_id' });
    const document = await upload('user_data');
    const wrong = await errorOf(api.client.batches.create({ ...BATCH, input_file_id: document }));
    expect(wrong).toMatchObject({ status: 400, param: 'input_file_id', code: 'invalid_value' });
    expect(wrong.message).toContain("has purpose 'user_data'");
    for (const path of [
      ...['health', 'v1/models', `v1/models/${MODEL}`, `v1/batches/${document}`, 'v1/jobs/batch_none'],
      ...[
        'v1/jobs/batch_none/events',
        'v1/jobs/batch_none/results',
        `v1/files/${document}`,
        `v1/files/${document}/content`,
      ],
    ]) {
      const strange = await api.refused(`/${path}?expand=all`);
      expect(strange).toMatchObject({ status: 400, param: 'expand', code: 'unknown_parameter' });
    }
    const bodies = {
      batches: { ...BATCH, input_file_id: document },
      jobs: { documents: [document], questions: ['?'] },
    };
    const posts = { ...bodies, 'batches/batch_none/cancel': {}, 'chat/completions': QUESTION, completions: {} };
    for (const [path, body] of Object.entries(posts)) {
      const strange = await api.refusedPost(`/v1/${path}?expand=all`, JSON.stringify(body));
      expect(strange).toMatchObject({ status: 400, param: 'expand', code: 'unknown_parameter' });
    }
    for (const name of ['constructor', '__proto__']) {
      const strange = await api.refused(`/v1/batches?${name}=1`);
      expect(strange).toMatchObject({ status: 400, param: name, code: 'unknown_parameter' });
    }
    for (const id of ['batch_none', 'unfinished', document, '__proto__']) {
      expect(await errorOf(api.client.batches.retrieve(id))).toMatchObject({
        status: 404,
        type: 'invalid_request_error',
        param: 'id',
      });
    }
  });

  it.each([
    ['input_file_id', { input_file_id: undefined }, 'missing_required_parameter'],
    ['input_file_id', { input_file_id: 7 }, 'invalid_value'],
    ['endpoint', { endpoint: '/v1/embeddings' }, 'invalid_value'],
    ['completion_window', { completion_window: 'soon' }, 'invalid_value'],
    ['metadata', { metadata: { a: 1 } }, 'invalid_value'],
    ['metadata', { metadata: { a: 'x'.repeat(513) } }, 'invalid_value'],
    ['metadata', { metadata: ['a'] }, 'invalid_value'],
    ['metadata', { metadata: { ['k'.repeat(65)]: 'x' } }, 'invalid_value'],
    ['metadata', { metadata: Object.fromEntries(Array.from({ length: 17 }, (_, i) => [i, 'x'])) }, 'invalid_value'],
    ['output_expires_after', { output_expires_after: 3600 }, 'invalid_value'],
    ['output_expires_after', { output_expires_after: [] }, 'invalid_value'],
    ['output_expires_after.anchor', { output_expires_after: { seconds: 3600 } }, 'missing_required_parameter'],
    [
      'output_expires_after.seconds',
      { output_expires_after: { anchor: 'created_at', seconds: 3599 } },
      'invalid_value',
    ],
    [
      'output_expires_after.days',
      { output_expires_after: { anchor: 'created_at', seconds: 3600, days: 1 } },
      'unknown_parameter',
    ],
    ['compression.policy', { compression: { policy: 'zip' } }, 'invalid_value'],
    ['compression.budget', { compression: { policy: 'kvmerger', budget: 0 } }, 'invalid_value'],
    ['compression.budget', { compression: { policy: 'kvmerger', budget: 2 } }, 'invalid_value'],
    ['compression.budget', { compression: { policy: 'kvmerger', budget: 'NaN' } }, 'invalid_value'],
    ['compression', { compression: 'full' }, 'invalid_value'],
    ['priority', { priority: 1 }, 'unknown_parameter'],
    ['constructor', { constructor: 1 }, 'unknown_parameter'],
    ['metadata.a', { metadata: { a: '\ud800' } }, 'invalid_encoding'],
  ])('names %s when it is wrong: %j', async (param, change, code) => {
    const body = JSON.stringify({ ...BATCH, input_file_id: 'file-none', ...change });
    expect(await api.refusedPost('/v1/batches', body)).toMatchObject({
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
    ['bottomless JSON', `{"metadata":${'['.repeat(9000)}${']'.repeat(9000)}}`, 'application/json', 400, 'levels deep'],
    ['another content type', '{}', 'text/plain', 400, 'content-type: application/json'],
    ['an unknown charset', '{}', 'application/json; charset=klingon', 415, 'unsupported charset'],
    ['a body over the limit', JSON.stringify('x'.repeat(MAX_LINE_BYTES)), 'application/json', 413, '20000 bytes'],
  ])('refuses %s', async (_, body, type, status, message) => {
    for (const path of ['/v1/batches', '/v1/chat/completions']) {
      expect(await api.refusedPost(path, body, type)).toMatchObject({
        status,
        type: 'invalid_request_error',
        message: expect.stringContaining(message),
      });
    }
  });

  it.each(['/v1/batches', '/v1/chat/completions', '/v1/completions'])(
    'refuses at %s what is no JSON object of UTF-8 text',
    async (path) => {
      const refused = { status: 400, type: 'invalid_request_error' };
      expect(await api.refusedPost(path, '{"model": ')).toMatchObject(refused);
      expect(await api.refusedPost(path, '[1]')).toMatchObject(refused);
      expect(await api.refusedPost(path, '"text"')).toMatchObject(refused);
      expect(await api.refusedPost(path, 'model=x', 'application/x-www-form-urlencoded')).toMatchObject(refused);
      expect(await api.refusedPost(path, `{"a":${'['.repeat(40)}${']'.repeat(40)}}`)).toMatchObject({
        ...refused,
        code: 'json_too_deep',
      });
      const headers = { 'content-type': 'application/json' };
      const latin1 = { method: 'POST', headers, body: Buffer.from('{"model": "caf\xe9"}', 'latin1') };
      expect(await api.refused(path, latin1)).toMatchObject({ ...refused, code: 'invalid_encoding' });
      const gzip = { method: 'POST', headers: { ...headers, 'content-encoding': 'gzip' }, body: '{}' };
      expect(await api.refused(path, gzip)).toMatchObject({ ...refused, message: expect.stringContaining('gzip') });
    },
  );

  it('answers unknown addresses in the same shape', async () => {
    for (const path of ['/', '/v1/nothing', '/v1/files/a/b/c', '/%E0%A4%A']) {
      const error = await api.refused(path);
      expect([400, 404]).toContain(error.status);
      expect(error).toMatchObject({ type: 'invalid_request_error' });
    }
    expect(await api.refused('/v1/files/%ff')).toMatchObject({ status: 400, param: 'id', code: 'invalid_encoding' });
    expect(await api.refused('/v1/nothing?x=1')).toMatchObject({
      status: 404,
      message: 'Unknown request URL: GET /v1/nothing',
      code: 'unknown_url',
    });
  });
});

describe('request ids', () => {
  it('are on every response, a new one each', async () => {
    const models = [await api.client.models.retrieve(MODEL), await api.client.models.retrieve(MODEL)];
    const found = models.map((model) => (model as { _request_id?: string })._request_id);
    found.push((await errorOf(api.client.models.retrieve('gpt-9'))).requestID ?? undefined);
    found.push((await errorOf(api.client.files.content('file-none'))).requestID ?? undefined);
    const post = (path: string, body: string) =>
      fetch(`${api.url}${path}`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });
    for (const response of [
      await post('/v1/batches', '{"broken'),
      await post('/v1/files', '{}'),
      await fetch(`${api.url}/nothing`),
      await fetch(`${api.url}/health`),
    ]) {
      found.push(response.headers.get('x-request-id') ?? undefined);
    }
    for (const id of found) expect(id).toMatch(/^req_[0-9a-f]{32}$/);
    expect(new Set(found).size).toBe(found.length);
  });
});

describe('models and health', () => {
  it('lists the one model', async () => {
    const { data } = await api.client.models.list();
    expect(data).toEqual([{ id: MODEL, object: 'model', created: expect.any(Number), owned_by: 'longhaul' }]);
    expect(await api.client.models.retrieve(MODEL)).toEqual(data[0]);
    expect(await errorOf(api.client.models.retrieve('gpt-4/x'))).toMatchObject({
      status: 404,
      code: 'model_not_found',
      error: { message: "The model 'gpt-4/x' does not exist or you do not have access to it." },
    });
  });

  it('tells queue depths and workers', async () => {
    const worker = new Worker(groupQueue(MODEL), async () => undefined, {
      connection: api.redis,
      prefix: QUEUE_PREFIX,
    });
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
  const answering = async (
    answer: (job: Job<CompletionJob>, body: unknown) => Promise<void>,
  ): Promise<Worker<CompletionJob>> => {
    const worker = new Worker<CompletionJob>(
      groupQueue(MODEL),
      async (job) => answer(job, JSON.parse(String(await api.blobs.read(job.data.bodyKey)))),
      { connection: api.redis, prefix: QUEUE_PREFIX },
    );
    worker.on('error', () => undefined);
    await worker.waitUntilReady();
    workers.push(worker);
    return worker;
  };
  const workers: Worker[] = [];
  afterEach(() => Promise.all(workers.splice(0).map((worker) => worker.close())));

  it('returns what the worker recorded, and cleans up', async () => {
    let seen: Job<CompletionJob> | undefined;
    const worker = await answering(async (job, body) => {
      seen = job;
      expect(body).toEqual(QUESTION);
      expect(await api.redis.pubsub('NUMSUB', `longhaul:progress:{${job.data.completionId}}`)).toContain(1);
      await api.results.record(job.data.completionId, 0, answeredItem('chat', completion));
    });
    const took: number[] = [];
    for (let i = 0; i < 5; i++) {
      const start = performance.now();
      expect(await api.client.chat.completions.create(QUESTION)).toMatchObject(completion);
      took.push(performance.now() - start);
    }
    // Woken by the event: looks every two seconds would have let all of them wait that long.
    expect(Math.min(...took)).toBeLessThan(2000);
    const { completionId, bodyKey } = seen!.data;
    expect(seen?.opts).toMatchObject({ priority: 1, jobId: completionId });
    expect(await api.blobs.size(bodyKey)).toBeUndefined();
    expect(await api.redis.ttl(`longhaul:results:{${completionId}}:items`)).toBeGreaterThan(0);
    expect(await api.redis.ttl(`longhaul:results:{${completionId}}:counts`)).toBeGreaterThan(0);
    await worker.close();
  });

  it('passes on the error that the worker recorded, with its status', async () => {
    const worker = await answering(async (job) => {
      const error = ApiError.invalid('Too long: 9000 tokens.', 'messages', 'context_length_exceeded');
      await api.results.record(job.data.completionId, 0, refusedItem('chat', error));
    });
    expect(await errorOf(api.client.chat.completions.create(QUESTION))).toMatchObject({
      status: 400,
      param: 'messages',
      code: 'context_length_exceeded',
    });
    await worker.close();
  });

  it.each([
    ['messages', { messages: [] }, 400],
    ['max_tokens', { max_tokens: 0 }, 400],
    ['stream', { stream: 'yes' }, 400],
    ['stream_options', { stream_options: { include_usage: true } }, 400],
    ['stream_options', { stream: true, stream_options: 7 }, 400],
    ['stream_options.usage', { stream: true, stream_options: { usage: true } }, 400],
    ['stream_options.include_usage', { stream: true, stream_options: { include_usage: 1 } }, 400],
    ['n', { n: 0 }, 400],
    ['n', { n: 129 }, 400],
    ['model', { model: 'gpt-4' }, 404],
    ['model', { model: undefined }, 400],
    ['compression.policy', { compression: { policy: 'zip' } }, 400],
  ])('refuses a wrong %s before it is queued: %j', async (param, change, status) => {
    const error = await api.refusedPost('/v1/chat/completions', JSON.stringify({ ...QUESTION, ...change }));
    expect(error).toMatchObject({ status, type: 'invalid_request_error', param });
  });

  it.each([
    ['prompt', { prompt: undefined }, 400],
    ['prompt', { prompt: [] }, 400],
    ['prompt', { prompt: ['a', 1] }, 400],
    ['prompt', { prompt: [[]] }, 400],
    ['prompt', { prompt: [1.5] }, 400],
    ['prompt', { prompt: Array(129).fill('a') }, 400],
    ['max_tokens', { max_tokens: -1 }, 400],
    ['logprobs', { logprobs: 6 }, 400],
    ['best_of', { best_of: 3, n: 2 }, 400],
    ['echo', { echo: true }, 400],
    ['suffix', { suffix: 'end' }, 400],
    ['messages', { messages: [] }, 400],
    ['stream', { stream: 1 }, 400],
    ['model', { model: 'gpt-4' }, 404],
  ])('refuses a wrong %s of a text completion before it is queued: %j', async (param, change, status) => {
    const body = JSON.stringify({ model: MODEL, prompt: 'Once upon', ...change });
    expect(await api.refusedPost('/v1/completions', body)).toMatchObject({
      status,
      type: 'invalid_request_error',
      param,
    });
  });

  it('streams pieces as they come, what a second worker repeats only once, and the rest from the result', async () => {
    const choice = { index: 0, message: { role: 'assistant', content: 'One two three four' }, finish_reason: 'stop' };
    const usage = { prompt_tokens: 3, completion_tokens: 4, total_tokens: 7 };
    const streams = new AnswerStreams(api.redis);
    const worker = await answering(async (job, body) => {
      expect(body).toMatchObject({ ...QUESTION, seed: expect.any(Number) });
      const id = job.data.completionId;
      const none = { choice: 0, logprobsAt: 0, logprobs: [] };
      await streams.append(id, { ...none, at: 0, text: 'One ' });
      await streams.append(id, { ...none, at: 4, text: 'two ' });
      await streams.append(id, { ...none, at: 0, text: 'One t' });
      await streams.append(id, { ...none, at: 5, text: 'wo th' });
      await streams.append(id, { ...none, at: 17, text: '?' });
      await api.results.record(id, 0, answeredItem('chat', { ...completion, choices: [choice], usage }));
    });
    const chunks: OpenAI.ChatCompletionChunk[] = [];
    const stream_options = { include_usage: true };
    const stream = await api.client.chat.completions.create({ ...QUESTION, stream: true, stream_options });
    for await (const chunk of stream) chunks.push(chunk);
    const texts = chunks.map((chunk) => chunk.choices[0]?.delta.content);
    expect(texts).toEqual(['', 'One ', 'two ', 'th', 'ree four', undefined, undefined]);
    expect(chunks[0]!.choices[0]!.delta.role).toBe('assistant');
    expect(chunks.at(-2)!.choices[0]!.finish_reason).toBe('stop');
    expect(chunks.at(-1)).toMatchObject({ choices: [], usage });
    for (const { usage: none, ...chunk } of chunks.slice(0, -1)) {
      expect({ ...chunk, none }).toMatchObject({ object: 'chat.completion.chunk', model: MODEL, none: null });
    }
    expect(new Set(chunks.map(({ id }) => id)).size).toBe(1);
    expect(await api.redis.keys('longhaul:results:*pieces')).toEqual([]);
    await worker.close();
    await streams.close();
  });

  it('ends a stream with an error event where the second worker answers otherwise', async () => {
    const streams = new AnswerStreams(api.redis);
    const worker = await answering(async (job) => {
      const piece = { choice: 0, logprobsAt: 0, logprobs: [] };
      await streams.append(job.data.completionId, { ...piece, at: 0, text: 'One two' });
      await streams.append(job.data.completionId, { ...piece, at: 0, text: 'Two' });
    });
    const stream = await api.client.chat.completions.create({ ...QUESTION, stream: true });
    const texts: string[] = [];
    const read = async () => {
      for await (const chunk of stream) texts.push(chunk.choices[0]?.delta.content ?? '');
    };
    expect(await errorOf(read())).toMatchObject({ code: 'answer_restarted', type: 'server_error' });
    expect(texts).toEqual(['', 'One two']);
    await worker.close();
    await streams.close();
  });

  it('answers a stream that fails before it begins with the status of the error', async () => {
    const worker = await answering(async (job) => {
      const error = ApiError.invalid('Too long: 9000 tokens.', 'messages', 'context_length_exceeded');
      await api.results.record(job.data.completionId, 0, refusedItem('chat', error));
    });
    const error = await errorOf(api.client.chat.completions.create({ ...QUESTION, stream: true }));
    expect(error).toMatchObject({ status: 400, param: 'messages', code: 'context_length_exceeded' });
    await worker.close();
  });

  it.each([true, false])('cancels the work when the client goes away (stream: %s)', async (stream) => {
    let taken = (_id: string): void => undefined;
    const id = new Promise<string>((resolve) => (taken = resolve));
    const cancellations = new Cancellations(api.redis);
    const worker = await answering(async (job) => taken(job.data.completionId));
    const client = new AbortController();
    const answer = api.client.chat.completions.create({ ...QUESTION, stream }, { signal: client.signal });
    const watch = await cancellations.watch(await id);
    client.abort();
    await expect(answer).rejects.toThrow(OpenAI.APIUserAbortError);
    if (!watch.signal.aborted) await once(watch.signal, 'abort');
    await until(async () => !(await api.storedFiles()).some((path) => path.includes('/chat/')));
    await watch.stop();
    await worker.close();
    await cancellations.close();
  });

  it('says after its time that nobody answered, and takes the job back', async () => {
    const hasty = await startApi({ ...api.environment, LONGHAUL_CHAT_TIMEOUT_SECONDS: '1' });
    const response = await fetch(`${hasty.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(QUESTION),
    });
    expect(response.status).toBe(504);
    expect(await response.json()).toMatchObject({ error: { type: 'server_error', code: 'timeout' } });
    const health = (await (await fetch(`${hasty.url}/health`)).json()) as { queues: { groups: object } };
    expect(health.queues.groups).toMatchObject({ waiting: 0 });
    expect((await api.storedFiles()).filter((path) => path.includes('/chat/'))).toEqual([]);
    expect(await hasty.process.kill('SIGTERM')).toEqual(ENDED_WELL);
  });

  it('survives a restart of Redis while it waits', async () => {
    let begun = (): void => undefined;
    const taken = new Promise<void>((resolve) => (begun = resolve));
    let release = (): void => undefined;
    const released = new Promise<void>((resolve) => (release = resolve));
    const worker = await answering(async (job) => {
      begun();
      await released;
      await api.results.record(job.data.completionId, 0, answeredItem('chat', completion));
    });
    const answer = api.client.chat.completions.create(QUESTION);
    await taken;
    await api.server.restart();
    release();
    expect(await answer).toMatchObject(completion);
    await worker.close();
  });

  it('is ended with 503 when the service is stopped and nobody answers in the drain time', async () => {
    const stopped = await startApi(api.environment);
    const waiting = fetch(`${stopped.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(QUESTION),
    });
    const queue = new Queue(groupQueue(MODEL), { connection: api.redis, prefix: QUEUE_PREFIX });
    await until(async () => (await queue.getJobCounts('prioritized'))['prioritized'] === 1);
    const ended = stopped.process.kill('SIGTERM');
    const response = await waiting;
    expect(response.status).toBe(503);
    expect(await response.json()).toMatchObject({ error: { code: 'shutting_down' } });
    expect(await ended).toEqual(ENDED_WELL);
    await queue.drain();
    await queue.close();
  });
});
