import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { RedisBatchStore } from '@app/batches';
import { Redis } from 'ioredis';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BATCH, errorOf, startApi } from './api-alone.js';
import { type AppProcess, endOfBatch, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

const SECRET = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';

let redis: RedisServer;
let longhaul: Longhaul;
let client: OpenAI;
let receiver: Server;
/** What the receiver of webhooks answers each event with, the first times that it comes; then 200. */
const REFUSALS = [500, 302];
const received: { headers: IncomingHttpHeaders; body: string }[] = [];

beforeAll(async () => {
  receiver = createServer(async (request, response) => {
    const body = await text(request);
    const times = received.filter((earlier) => earlier.body === body).length;
    received.push({ headers: request.headers, body });
    response.writeHead(REFUSALS[times] ?? 200).end();
    receiver.emit('received');
  }).listen(0, '127.0.0.1');
  await once(receiver, 'listening');
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url, {}, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, { contextLength: 512 });
    return {
      LONGHAUL_MODEL: model,
      LONGHAUL_WEBHOOK_URL: `http://127.0.0.1:${(receiver.address() as AddressInfo).port}/hooks`,
      LONGHAUL_WEBHOOK_SECRET: SECRET,
      LONGHAUL_WEBHOOK_PRIVATE: 'true',
    };
  });
  client = longhaul.client;
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
  receiver?.close();
});

const ask = { model: 'tiny', messages: [{ role: 'user' as const, content: 'Hello?' }], max_tokens: 5 };
const under = (key: string) => ({ headers: { 'Idempotency-Key': key } });

describe('Idempotency-Key', () => {
  it('gives a request that is sent again the answer of the first, whatever it is', async () => {
    const upload = async () => toFile(Buffer.from(`${JSON.stringify(line('a', ask))}\n`), 'a.jsonl');
    const create = async () => client.files.create({ file: await upload(), purpose: 'batch' }, under('file'));
    const file = await create();
    expect((await create()).id).toBe(file.id);
    const batch = { ...BATCH, input_file_id: file.id };
    const { id } = await client.batches.create(batch, under('batch'));
    const again = await client.batches.create(batch, under('batch')).withResponse();
    expect(again.data.id).toBe(id);
    expect(again.response.headers.get('idempotent-replayed')).toBe('true');
    expect((await client.batches.create(batch)).id).not.toBe(id);
    const chat = await client.chat.completions.create(ask, under('chat'));
    expect(await client.chat.completions.create(ask, under('chat'))).toEqual(chat);
    const refused = () => errorOf(client.chat.completions.create({ ...ask, max_tokens: 0 }, under('bad')));
    expect((await refused()).error).toEqual((await refused()).error);
  });

  it('gives a stream again', async () => {
    const stream = async () => {
      const chunks: OpenAI.ChatCompletionChunk[] = [];
      const request = { ...ask, stream: true as const };
      for await (const chunk of await client.chat.completions.create(request, under('stream'))) chunks.push(chunk);
      return chunks;
    };
    const first = await stream();
    expect(first.length).toBeGreaterThan(1);
    expect(await stream()).toEqual(first);
  });

  it('is refused with another request, while the first one runs, and where it is no key', async () => {
    await client.chat.completions.create(ask, under('reused'));
    const other = await errorOf(client.chat.completions.create({ ...ask, max_tokens: 6 }, under('reused')));
    expect(other).toBeInstanceOf(OpenAI.UnprocessableEntityError);
    expect(other).toMatchObject({ param: 'Idempotency-Key', code: 'idempotency_key_reused' });
    const twice = await Promise.allSettled([0, 1].map(() => client.chat.completions.create(ask, under('twice'))));
    const reasons = twice.flatMap((end) => (end.status === 'rejected' ? [end.reason] : []));
    for (const reason of reasons) expect(reason).toMatchObject({ status: 409, code: 'idempotency_key_in_use' });
    // A client that tries again gets the one answer.
    const patient = new OpenAI({ baseURL: `${longhaul.url}/v1`, apiKey: 'none', maxRetries: 10 });
    const [one, two] = await Promise.all([0, 1].map(() => patient.chat.completions.create(ask, under('thrice'))));
    expect(one).toEqual(two);
    expect(await errorOf(client.chat.completions.create(ask, under('x'.repeat(256))))).toMatchObject({
      status: 400,
      param: 'Idempotency-Key',
    });
  });
});

describe('rate limits', () => {
  let limited: { url: string; process: AppProcess };
  beforeAll(async () => {
    limited = await startApi({
      REDIS_URL: redis.url,
      LONGHAUL_DATA_DIR: longhaul.dataDir,
      LONGHAUL_MODEL: join(longhaul.dataDir, 'tiny.gguf'),
      LONGHAUL_REQUESTS_PER_MINUTE: '5',
    });
  });
  afterAll(async () => {
    await limited?.process.kill('SIGTERM');
  });

  it('are told in headers, by client, and refuse what is beyond them', async () => {
    const hasty = new OpenAI({ baseURL: `${limited.url}/v1`, apiKey: 'hasty', maxRetries: 0 });
    const left: (string | null)[] = [];
    for (let i = 0; i < 5; i++) {
      const { response } = await hasty.models.list().withResponse();
      expect(response.headers.get('x-ratelimit-limit-requests')).toBe('5');
      expect(response.headers.get('x-ratelimit-reset-requests')).toMatch(/^\d+s$|^1m0s$/);
      left.push(response.headers.get('x-ratelimit-remaining-requests'));
    }
    expect(left).toEqual(['4', '3', '2', '1', '0']);
    const error = await errorOf(hasty.models.list());
    expect(error).toBeInstanceOf(OpenAI.RateLimitError);
    expect(error).toMatchObject({ type: 'requests', code: 'rate_limit_exceeded', param: null });
    expect(Number(error.headers?.get('retry-after'))).toBeGreaterThan(0);
    expect(Number(error.headers?.get('retry-after'))).toBeLessThanOrEqual(12);
    await new OpenAI({ baseURL: `${limited.url}/v1`, apiKey: 'other' }).models.list();
    expect((await fetch(`${limited.url}/health`)).status).toBe(200);
  });

  it('are not told where there are none', async () => {
    const { response } = await client.models.list().withResponse();
    expect(response.headers.get('x-ratelimit-limit-requests')).toBeNull();
  });
});

describe('webhooks', () => {
  /** The events about a batch, once there are so many. */
  const eventsOf = async (batchId: string, count: number) => {
    const about = () => received.filter(({ body }) => body.includes(batchId));
    while (about().length < count) await once(receiver, 'received');
    return about();
  };
  /** What a worker does that finds a batch's time over. */
  const expire = async (batchId: string): Promise<void> => {
    const connection = new Redis(redis.url);
    const now = Math.floor(Date.now() / 1000);
    const change = { status: 'finalizing', finalizing_at: now, expired_at: now } as const;
    expect(await new RedisBatchStore(connection, 3600).transition(batchId, ['validating'], change)).toBe(true);
    connection.disconnect();
  };
  const { webhooks } = new OpenAI({ apiKey: 'none', webhookSecret: SECRET });
  const unwrap = ({ headers, body }: (typeof received)[number]) =>
    webhooks.unwrap(body, headers as Record<string, string>);

  it('tell how batches end, again until they are taken', async () => {
    const lifetime = { output_expires_after: { anchor: 'created_at', seconds: 7200 } };
    const completed = await startBatch(longhaul, [line('a', ask)], lifetime);
    const ended = await endOfBatch(longhaul, completed);
    const output = await client.files.retrieve(ended.output_file_id!);
    expect(output.expires_at).toBe(output.created_at + 7200);
    const events = await Promise.all((await eventsOf(completed, 3)).map(unwrap));
    for (const event of events) {
      expect(event).toEqual({
        id: `evt_${completed}_completed`,
        object: 'event',
        created_at: ended.completed_at,
        type: 'batch.completed',
        data: { id: completed },
      });
    }
    const failed = await startBatch(longhaul, ['']);
    expect((await endOfBatch(longhaul, failed)).status).toBe('failed');
    expect((await unwrap((await eventsOf(failed, 1))[0]!)).type).toBe('batch.failed');
    await longhaul.worker.kill('SIGTERM');
    const cancelled = await startBatch(longhaul, [line('a', ask)]);
    await client.batches.cancel(cancelled);
    const expired = await startBatch(longhaul, [line('a', ask)]);
    await expire(expired);
    await longhaul.startWorker();
    expect((await unwrap((await eventsOf(cancelled, 1))[0]!)).type).toBe('batch.cancelled');
    expect((await unwrap((await eventsOf(expired, 1))[0]!)).type).toBe('batch.expired');
    expect(await eventsOf(completed, 3)).toHaveLength(3);
  });
});
