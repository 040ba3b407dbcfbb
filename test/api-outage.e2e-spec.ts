import { fork } from 'node:child_process';
import { once } from 'node:events';
import { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiAlone, BATCH, ENDED_WELL, errorOf, QUESTION, startApi, until } from './api-alone.js';
import { AppProcess } from './longhaul-process.js';
import { freePort } from './redis-server.js';

let api: ApiAlone;

beforeAll(async () => {
  api = await ApiAlone.start();
});
afterAll(() => api?.stop());

/** The API where it is expected to end at once. */
function launch(env: Record<string, string>) {
  const process = new AppProcess('api', env);
  return { exited: process.exited(), lines: process.lines };
}

describe('when Redis is away', () => {
  const calls = (): [string, Promise<unknown>][] => [
    ['retrieve a file', api.client.files.retrieve('file-none')],
    ['upload', toFile(Buffer.from('{}\n'), 'a').then((file) => api.client.files.create({ file, purpose: 'batch' }))],
    ['create a batch', api.client.batches.create({ ...BATCH, input_file_id: 'file-none' })],
    ['retrieve a batch', api.client.batches.retrieve('batch_none')],
    ['chat', api.client.chat.completions.create(QUESTION)],
    // Nobody knows then who may ask.
    ['list models', api.client.models.list()],
  ];

  const expectUnavailable = async (): Promise<void> => {
    const before = await api.storedFiles();
    for (const [what, call] of calls().map(([name, made]) => [name, errorOf(made)] as const)) {
      expect(await call, what).toMatchObject({ status: 503, type: 'server_error', code: 'redis_unavailable' });
    }
    const health = await fetch(`${api.url}/health`);
    expect(health.status).toBe(503);
    expect(await health.json()).toEqual({ status: 'unavailable', redis: 'unavailable' });
    expect(await api.storedFiles()).toEqual(before);
  };
  const recover = () => until(async () => (await fetch(`${api.url}/health`)).ok);

  it('fails within seconds, loses nothing and recovers when it is killed and started again', async () => {
    const file = await api.client.files.create({
      file: await toFile(Buffer.from('{}\n'), 'a.jsonl'),
      purpose: 'batch',
    });
    await api.server.kill();
    await expectUnavailable();
    await api.server.restart();
    await recover();
    expect(await api.client.files.retrieve(file.id)).toEqual(file);
    const batch = await api.client.batches.create({ ...BATCH, input_file_id: file.id });
    expect(batch.status).toBe('validating');
    expect(api.process.lines.join('\n')).not.toMatch(/unhandled/i);
  });

  it('fails within seconds when it hangs without closing its connections', async () => {
    process.kill(api.server.pid, 'SIGSTOP');
    try {
      await expectUnavailable();
    } finally {
      process.kill(api.server.pid, 'SIGCONT');
    }
    await recover();
    expect(await errorOf(api.client.files.retrieve('file-none'))).toMatchObject({ status: 404 });
  });

  it('says so within seconds at start, in one line without a stack, and exits with 1', async () => {
    const { exited, lines } = launch({ REDIS_URL: `redis://127.0.0.1:${await freePort()}` });
    expect(await exited).toEqual({ code: 1, signal: null });
    expect(lines).toEqual([
      expect.stringMatching(
        /^api: Redis at redis:\/\/127\.0\.0\.1:\d+ cannot be used: .*point REDIS_URL at one that runs\.$/,
      ),
    ]);
  });
});

describe('start and end', () => {
  it('lists all bad variables, and is not to be started again', async () => {
    const { exited, lines } = launch({ PORT: 'http', LONGHAUL_COMPRESSION: 'kvmerger:2' });
    expect(await exited).toEqual({ code: 78, signal: null });
    expect(lines).toEqual([
      'api: 2 environment variables cannot be used. Correct or unset:',
      '  PORT: expected an integer from 0 to 65535, found "http"',
      expect.stringContaining('LONGHAUL_COMPRESSION: expected policy:budget'),
    ]);
  });

  it('says that the port is taken', async () => {
    const { exited, lines } = launch({ ...api.environment, PORT: new URL(api.url).port });
    expect(await exited).toEqual({ code: 78, signal: null });
    expect(lines).toContainEqual(expect.stringMatching(/^api: Cannot listen \(EADDRINUSE\).*Set PORT/));
  });

  it('ends when the process that started it is gone', async () => {
    const env = { ...process.env, ...api.environment, PORT: String(await freePort()) };
    const orphan = fork('dist/apps/api/src/main.js', { env, stdio: ['ignore', 'ignore', 'ignore', 'ipc'] });
    await once(orphan, 'message');
    const ended = once(orphan, 'exit');
    orphan.disconnect();
    expect(await ended).toEqual([0, null]);
  });

  it('closes within a moment on SIGTERM when nothing is going on', async () => {
    const idle = await startApi(api.environment);
    await fetch(`${idle.url}/health`);
    expect(await idle.process.kill('SIGTERM')).toEqual(ENDED_WELL);
  });
});
