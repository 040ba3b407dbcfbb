import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystemBlobStore } from '@app/storage';
import type { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import type { ItemResult } from './item-result.js';
import { MissingResultsError, writeOutputFiles } from './output-files.js';
import { connectRedis } from './redis-connection.js';
import { resultKeys } from './redis-keys.js';
import { RedisResultStore } from './redis-result-store.js';

let server: RedisServer;
let redis: Redis;
let results: RedisResultStore;
let directory: string;
let blobs: FileSystemBlobStore;

beforeAll(async () => {
  server = await startRedis();
  redis = connectRedis(server.url);
  results = new RedisResultStore(redis);
  directory = await mkdtemp(join(tmpdir(), 'outputs-'));
  blobs = new FileSystemBlobStore(directory);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
  await rm(directory, { recursive: true, force: true });
});

const answered = (index: number): ItemResult => ({
  id: `batch_req_${index}`,
  custom_id: `c${index}`,
  response: { status_code: 200, request_id: `r${index}`, body: { text: 'line one\nline two \u2028' } },
  error: null,
});
const refused = (index: number): ItemResult => ({
  id: `batch_req_${index}`,
  custom_id: null,
  response: null,
  error: { code: 'invalid_json_line', message: 'This line is not JSON.', line: index + 1 },
});

const keys = { output: 'out', errors: 'err' };
const linesOf = async (key: string): Promise<unknown[]> => {
  const content = String(await blobs.read(key));
  expect(content.endsWith('\n')).toBe(true);
  return content
    .slice(0, -1)
    .split('\n')
    .map((line) => JSON.parse(line));
};

describe('writeOutputFiles', () => {
  it('puts answers and errors into one file each, in the order of the input', async () => {
    await results.expect('both', 300);
    for (let i = 299; i >= 0; i--) await results.record('both', i, i % 4 === 0 ? refused(i) : answered(i));
    const files = await writeOutputFiles(results, blobs, 'both', keys);
    const all = Array.from({ length: 300 }, (_, i) => i);
    expect(await linesOf('out')).toEqual(all.filter((i) => i % 4 !== 0).map(answered));
    expect(await linesOf('err')).toEqual(all.filter((i) => i % 4 === 0).map(refused));
    expect(files.output).toMatchObject({ key: 'out', bytes: await blobs.size('out') });
    expect(await writeOutputFiles(results, blobs, 'both', keys)).toEqual(files);
  });

  it('writes no file for a kind without lines', async () => {
    await results.expect('good', 1);
    await results.record('good', 0, answered(0));
    const none = { output: 'good-out', errors: 'good-err' };
    const files = await writeOutputFiles(results, blobs, 'good', none);
    expect(files.output?.key).toBe('good-out');
    expect(files.errors).toBeUndefined();
    expect(await blobs.size('good-err')).toBeUndefined();
    expect(await writeOutputFiles(results, blobs, 'never seen', none)).toEqual({
      output: undefined,
      errors: undefined,
    });
  });

  it('stores nothing when results have gone from Redis', async () => {
    await results.expect('lost', 2);
    await results.record('lost', 0, answered(0));
    await results.record('lost', 1, answered(1));
    await redis.hdel(resultKeys('lost').items, '1');
    const lost = { output: 'lost-out', errors: 'lost-err' };
    await expect(writeOutputFiles(results, blobs, 'lost', lost)).rejects.toThrow(MissingResultsError);
    expect(await blobs.size('lost-out')).toBeUndefined();
  });
});
