import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endpointOf } from './batch-endpoint.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'endpoint-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

it.each([
  ['{"custom_id":"a","url":"/v1/completions"}\n{"url":"/v1/other"}\n', '/v1/completions'],
  ['\ufeff\r\n{"url":"/v1/completions"}', '/v1/completions'],
  ['{"url":"/v1/embeddings"}', '/v1/embeddings'],
  ['{"url":7}', '/v1/chat/completions'],
  ['null', '/v1/chat/completions'],
  ['no JSON\n{"url":"/v1/completions"}', '/v1/chat/completions'],
  ['', '/v1/chat/completions'],
])('of %j is %s', async (content, endpoint) => {
  const path = join(folder, 'batch.jsonl');
  await writeFile(path, content);
  expect(await endpointOf(path)).toBe(endpoint);
});
