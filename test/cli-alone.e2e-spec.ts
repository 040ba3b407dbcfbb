import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiAlone, MODEL } from './api-alone.js';
import { line } from './longhaul-process.js';

let api: ApiAlone;

beforeAll(async () => {
  api = await ApiAlone.start();
});
afterAll(() => api?.stop());

const start = (...args: string[]): ChildProcess =>
  spawn(process.execPath, [join(import.meta.dirname, '../dist/apps/cli/src/main.js'), ...args], {
    env: { ...process.env, LONGHAUL_URL: api.url },
    stdio: ['ignore', 'pipe', 'pipe'],
  });

it('longhaul says that no worker is connected where a batch waits for one', async () => {
  const file = join(api.environment['LONGHAUL_DATA_DIR']!, 'batch.jsonl');
  await writeFile(file, JSON.stringify(line('a', { model: MODEL, messages: [{ role: 'user', content: 'Hello?' }] })));
  const submit = start('submit', file);
  const [id, said] = await Promise.all([text(submit.stdout!), text(submit.stderr!)]);
  expect(id).toMatch(/^batch_\w+\n$/);
  expect(said).toBe('No worker is connected: the batch waits until one is.\n');

  const watch = start('watch', id.trim());
  const closed = once(watch, 'close');
  let out = '';
  for await (const chunk of watch.stdout!) {
    out += chunk;
    if (out.includes('no worker is connected\n')) watch.kill('SIGINT');
  }
  expect(out).toBe('  0 %  validating\n  0 %  validating  no worker is connected\n');
  expect(await closed).toEqual([130, null]);

  const forPrograms = start('watch', id.trim(), '--json');
  const objects = text(forPrograms.stdout!);
  const ended = once(forPrograms, 'close');
  let told = '';
  for await (const chunk of forPrograms.stderr!) {
    told += chunk;
    if (told.split('\n').length === 2) forPrograms.kill('SIGINT');
  }
  expect(
    told
      .trim()
      .split('\n')
      .map((one) => JSON.parse(one)),
  ).toEqual([
    { warning: { message: 'No worker is connected: the batch waits until one is.', code: 'no_worker' } },
    { error: { message: 'interrupted', code: 'interrupted' } },
  ]);
  expect(JSON.parse(await objects)).toMatchObject({ id: id.trim(), status: 'validating' });
  expect(await ended).toEqual([130, null]);
});
