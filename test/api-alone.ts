import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { RedisResultStore } from '@app/results';
import { FileSystemBlobStore } from '@app/storage';
import { Redis } from 'ioredis';
import OpenAI, { APIError } from 'openai';
import { expect } from 'vitest';
import { AppProcess } from './longhaul-process.js';
import { freePort, type RedisServer, startRedis } from './redis-server.js';

export const MODEL = 'smollm2-135m-instruct';
export const MAX_FILE_BYTES = 2_000_000;
export const MAX_LINE_BYTES = 20_000;
export const BATCH = { endpoint: '/v1/chat/completions', completion_window: '24h' } as const;
export const QUESTION = { model: MODEL, messages: [{ role: 'user' as const, content: 'What is a batch?' }] };
export const ENDED_WELL = { code: 0, signal: null };

/** The API as a real process without a worker, on a Redis of its own, and all that a test looks at beside it. */
export class ApiAlone {
  private constructor(
    readonly server: RedisServer,
    readonly redis: Redis,
    readonly results: RedisResultStore,
    readonly blobs: FileSystemBlobStore,
    readonly environment: Readonly<Record<string, string>>,
    readonly url: string,
    readonly process: AppProcess,
    readonly client: OpenAI,
  ) {}

  static async start(): Promise<ApiAlone> {
    const server = await startRedis();
    const redis = new Redis(server.url, { maxRetriesPerRequest: null, retryStrategy: () => 50 });
    redis.on('error', () => undefined);
    const directory = await mkdtemp(join(tmpdir(), 'api-'));
    const environment = {
      REDIS_URL: server.url,
      LONGHAUL_DATA_DIR: directory,
      LONGHAUL_MAX_FILE_BYTES: String(MAX_FILE_BYTES),
      LONGHAUL_MAX_LINE_BYTES: String(MAX_LINE_BYTES),
      LONGHAUL_DRAIN_SECONDS: '1',
    };
    const { url, process } = await startApi(environment);
    return new ApiAlone(
      server,
      redis,
      new RedisResultStore(redis),
      new FileSystemBlobStore(join(directory, 'blobs')),
      environment,
      url,
      process,
      new OpenAI({ baseURL: `${url}/v1`, apiKey: 'none', maxRetries: 0 }),
    );
  }

  async stop(): Promise<void> {
    await this.process.kill('SIGTERM');
    await this.results.close();
    this.redis.disconnect();
    await this.server.stop();
    await rm(this.environment['LONGHAUL_DATA_DIR']!, { recursive: true, force: true });
  }

  /** Every file in the blob store, unfinished ones included. */
  async storedFiles(): Promise<string[]> {
    const root = join(this.environment['LONGHAUL_DATA_DIR']!, 'blobs');
    const entries = await readdir(root, { recursive: true, withFileTypes: true }).catch(() => []);
    return entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name));
  }

  /** Status and error of a request that is refused; checks that the error has OpenAI's shape. */
  async refused(path: string, init: RequestInit = {}): Promise<{ status: number; message?: string }> {
    const response = await fetch(`${this.url}${path}`, init);
    const { error } = (await response.json()) as { error: Record<string, unknown> };
    expect(Object.keys(error)).toEqual(['message', 'type', 'param', 'code']);
    return { ...error, status: response.status };
  }

  /** The same for a POST. */
  refusedPost(path: string, body: string, type = 'application/json') {
    return this.refused(path, { method: 'POST', body, headers: { 'content-type': type } });
  }
}

/** Another API process, on a free port. */
export async function startApi(environment: Record<string, string>): Promise<{ url: string; process: AppProcess }> {
  const port = await freePort();
  const process = new AppProcess('api', { ...environment, PORT: String(port) });
  await process.ready();
  return { url: `http://127.0.0.1:${port}`, process };
}

/** Looks again and again until it is so. */
export async function until(what: () => Promise<boolean>): Promise<void> {
  while (!(await what())) await delay(20);
}

/** The error that a client call is answered with. */
export async function errorOf(call: Promise<unknown>): Promise<APIError> {
  const error = await call.then(() => undefined).catch((thrown: unknown) => thrown);
  expect(error).toBeInstanceOf(APIError);
  return error as APIError;
}
