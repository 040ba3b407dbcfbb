import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { until } from './api-alone.js';
import { freePort } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');

let folder: string;
let url: string;
let start: ChildProcess;
let output: string;

let model: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-start-'));
  model = join(folder, 'tiny.gguf'); // test/examples.e2e-spec.ts starts with the default model
  writeTinyGguf(model, { contextLength: 4096 });
});

/** Runs the command, `npm start` or another. */
async function run(more: NodeJS.ProcessEnv = {}, command = ['deploy/local/start.mjs']): Promise<void> {
  const port = await freePort();
  url = `http://${more['LONGHAUL_HOST'] ?? '127.0.0.1'}:${port}`;
  output = '';
  const { REDIS_URL: _, ...env } = process.env;
  const [script, ...args] = command;
  start = spawn(process.execPath, [join(root, script!), ...args], {
    env: { ...env, PORT: String(port), LONGHAUL_DATA_DIR: folder, LONGHAUL_MODEL: model, ...more },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  for (const stream of [start.stdout!, start.stderr!]) {
    stream.on('data', (chunk) => {
      output += chunk;
      start.emit('output');
    });
  }
}
afterEach(async () => {
  start.kill('SIGKILL');
  await rm(folder, { recursive: true, force: true, maxRetries: 5 });
});

/** Waits until the command has printed `count` matches; returns the last one. */
async function printed(pattern: RegExp, count = 1): Promise<RegExpMatchArray> {
  for (;;) {
    const matches = [...output.matchAll(new RegExp(pattern, 'g'))];
    if (matches.length >= count) return matches[count - 1]!;
    if (start.exitCode !== null) throw new Error(`npm start ended with ${start.exitCode}:\n${output}`);
    await once(start, 'output');
  }
}

const workerReady = /\[worker\] (\d+).*ready: model/;

const { startOf } = (await import(join(root, 'deploy/local/ownership.mjs'))) as {
  startOf(pid: number): string | undefined;
};

/** Whether there is such a process; one that has ended and that nobody has waited for is none. */
const runs = (pid: number): boolean => startOf(pid) !== undefined;

const redisPid = async (): Promise<number> =>
  (JSON.parse(await readFile(join(folder, 'redis/server.json'), 'utf8')) as { pid: number }).pid;

it('starts everything, starts a killed worker again, and drains once on one Ctrl-C', async () => {
  await run();
  await printed(/Longhaul is ready/);
  const health = await fetch(`${url}/health`);
  expect(health.status).toBe(200);
  expect(await health.json()).toMatchObject({ workers: 1 });
  const first = Number((await printed(workerReady))[1]);

  process.kill(first, 'SIGKILL');
  await printed(/worker ended \(SIGKILL\); starting it again in 1 s/);
  const second = Number((await printed(workerReady, 2))[1]);
  expect(second).not.toBe(first);

  const redis = await redisPid();
  const closed = once(start, 'close'); // all that it printed has been read by then
  start.kill('SIGINT'); // a terminal and npm each pass the same Ctrl-C on
  start.kill('SIGINT');
  expect(await closed).toEqual([0, null]);
  expect(output).toContain('stopping: finishing or handing back what runs');
  expect(output).toMatch(/stop +done/);
  expect([second, redis].map(runs)).toEqual([false, false]);
  await expect(fetch(`${url}/health`)).rejects.toThrow();
});

it('names its own model, and answers a chat that waits when it is told to stop', async () => {
  // Were the chats to wait for the whole time of draining, the test would not end.
  const env = { LONGHAUL_HOST: 'localhost', LONGHAUL_DRAIN_SECONDS: '600', LONGHAUL_MODEL: '' };
  await run(env, ['bin/longhaul', 'up', '--model', model]);
  await printed(/Longhaul is ready:\S* http:\/\/localhost:/);
  await printed(/"model":"tiny"/);
  const pid = Number((await printed(workerReady))[1]);

  process.kill(pid, 'SIGSTOP'); // the requests are still waiting when the stop begins
  const body = JSON.stringify({ model: 'tiny', max_tokens: 5, messages: [{ role: 'user', content: 'Hello' }] });
  const headers = { 'content-type': 'application/json' };
  const chats = [1, 2].map(() => fetch(`${url}/v1/chat/completions`, { method: 'POST', headers, body }));
  await until(async () => {
    const { queues } = (await (await fetch(`${url}/health`)).json()) as {
      queues?: { groups: { waiting: number; active: number } }; // none where Redis was too slow to tell
    };
    return queues !== undefined && queues.groups.waiting + queues.groups.active === 2;
  });
  const closed = once(start, 'close');
  start.kill('SIGINT');
  await printed(/stop +finishing/);
  process.kill(pid, 'SIGCONT');
  expect((await Promise.all(chats)).map(({ status }) => status)).toEqual([200, 200]);
  expect(await closed).toEqual([0, null]);
});

it('leaves nothing behind when it is killed hard', async () => {
  await run();
  await printed(/Longhaul is ready/);
  const worker = Number((await printed(workerReady))[1]);
  const redis = await redisPid();
  const closed = once(start, 'close'); // the streams close when the last process that holds them has ended
  start.kill('SIGKILL');
  await closed;
  // A process that ends closes its streams a little before it is gone.
  await until(async () => !runs(worker) && !runs(redis));
  await expect(fetch(`${url}/health`)).rejects.toThrow();
});

it('ends with what is wrong where the worker cannot run with the configuration', async () => {
  await run({ LONGHAUL_COMPRESSION: 'zip:0.5' });
  const [code] = await once(start, 'close');
  expect(code).toBe(1);
  expect(output).toMatch(/LONGHAUL_COMPRESSION: expected a policy of .*, found .*zip/);
  expect(output).toContain('The worker cannot run with this configuration: see what it says above.');
  expect(output).not.toMatch(/Longhaul is ready|starting it again|^ +at /m);
});
