import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { get, type IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import OpenAI, { AuthenticationError, toFile } from 'openai';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { ApiAlone, errorOf, startApi, until } from './api-alone.js';
import { AppProcess } from './longhaul-process.js';
import { freePort } from './redis-server.js';

/** An address of this machine alone that is not known to be one, since it is written as only resolvers read it. */
const OPEN_HOST = '127.1';

let api: ApiAlone;

beforeAll(async () => {
  api = await ApiAlone.start();
});
afterAll(() => api?.stop());

/** `longhaul` on the Redis of the service. */
async function longhaul(args: string[], env: NodeJS.ProcessEnv = {}) {
  const child = spawn(process.execPath, [join(import.meta.dirname, '../dist/apps/cli/src/main.js'), ...args], {
    env: { ...process.env, LONGHAUL_URL: api.url, REDIS_URL: api.server.url, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const [out, err, [code]] = await Promise.all([text(child.stdout), text(child.stderr), once(child, 'close')]);
  return { code: code as number, out, err };
}
const create = async (name: string): Promise<{ id: string; key: string }> =>
  JSON.parse((await longhaul(['keys', 'create', name, '--json'])).out);
const clientWith = (apiKey: string, url = api.url) => new OpenAI({ baseURL: `${url}/v1`, apiKey, maxRetries: 0 });
const openFor = (host: string) => new AppProcess('api', { ...api.environment, LONGHAUL_HOST: host, PORT: '0' });

/** What `GET /v1/models` is answered with these headers, as a browser may send them. */
async function statusFor(headers: Record<string, string>): Promise<number | undefined> {
  const [response] = (await once(get(`${api.url}/v1/models`, { headers }), 'response')) as [IncomingMessage];
  response.resume();
  return response.statusCode;
}

it('needs none while there is none, on this machine alone', async () => {
  expect((await clientWith('anything').models.list()).data).toHaveLength(1);
  const port = new URL(api.url).port;
  const strangers: Record<string, string>[] = [
    { host: `evil.example:${port}` },
    { host: `0.0.0.0:${port}` },
    { origin: 'https://evil.example' },
    { origin: 'null' },
    { 'sec-fetch-site': 'cross-site' },
    { 'sec-fetch-site': 'same-site' },
    { forwarded: 'for=192.0.2.1' },
    { 'x-forwarded-for': '192.0.2.1' },
    { 'x-forwarded-host': 'localhost' },
    { via: '1.1 proxy' },
  ];
  for (const headers of strangers) expect([headers, await statusFor(headers)]).toEqual([headers, 401]);
  for (const site of ['same-origin', 'none']) expect(await statusFor({ 'sec-fetch-site': site })).toBe(200);
  for (const host of [`localhost:${port}`, '127.0.0.1', `[::1]:${port}`]) {
    expect([host, await statusFor({ host, origin: `http://${host}` })]).toEqual([host, 200]);
  }
  const open = openFor('0.0.0.0');
  expect(await open.exited()).toEqual({ code: 78, signal: null });
  expect(open.lines).toEqual([
    expect.stringMatching(/^api: LONGHAUL_HOST is 0\.0\.0\.0, .*no API key yet.*longhaul keys create/),
  ]);
  expect(await longhaul(['keys', 'ls'])).toMatchObject({ code: 0, out: expect.stringMatching(/^no keys yet/) });
});

it('are needed for everything under /v1 once there is one, and for nothing else', async () => {
  const created = await longhaul(['keys', 'create', 'laptop']);
  expect(created).toMatchObject({ code: 0, out: expect.stringMatching(/^lh-[\w-]{43}\n$/) });
  const client = clientWith(created.out.trim());
  const file = await client.files.create({ file: await toFile(Buffer.from('{}\n'), 'a.jsonl'), purpose: 'batch' });
  expect(await client.files.retrieve(file.id)).toEqual(file);

  const before = await api.storedFiles();
  for (const stranger of [clientWith('lh-wrong'), clientWith(created.out.trim().slice(0, -1))]) {
    const calls = [
      stranger.models.list(),
      stranger.files.retrieve(file.id),
      stranger.files.create({ file: await toFile(Buffer.from('{}\n'), 'a.jsonl'), purpose: 'batch' }),
      stranger.chat.completions.create({ model: 'any', messages: [{ role: 'user', content: 'Hello?' }] }),
    ];
    for (const error of await Promise.all(calls.map(errorOf))) {
      expect(error).toBeInstanceOf(AuthenticationError);
      expect(error).toMatchObject({ status: 401, type: 'invalid_request_error', param: null, code: 'invalid_api_key' });
      expect(error.requestID).toMatch(/^req_/);
    }
  }
  expect(await api.storedFiles()).toEqual(before);

  for (const path of ['/v1/models', '/V1/models', '/v1/', '/v1/nothing', `/v1/files/${file.id}/content`]) {
    expect([path, await api.refused(path)]).toMatchObject([
      path,
      { status: 401, message: expect.stringContaining("didn't provide an API key") },
    ]);
  }
  for (const authorization of [`Basic ${created.out.trim()}`, 'Bearer', 'Bearer ', `Bearer a ${created.out.trim()}`]) {
    expect(await api.refused('/v1/models', { headers: { authorization } })).toMatchObject({ status: 401 });
  }
  const refused = await fetch(`${api.url}/v1/models`);
  expect(refused.headers.get('www-authenticate')).toBe('Bearer');
  for (const path of ['/health', '/docs', '/docs/openapi.json']) expect((await fetch(api.url + path)).status).toBe(200);
});

it('are taken by the command line from LONGHAUL_API_KEY, listed without themselves, and revoked', async () => {
  const { id, key } = await create('phone');
  const [without, withIt] = await Promise.all([longhaul(['ls']), longhaul(['ls'], { LONGHAUL_API_KEY: key })]);
  expect(without).toMatchObject({ code: 1, err: expect.stringMatching(/^longhaul: You didn't provide/) });
  expect(withIt).toMatchObject({ code: 0, err: '' });
  const { out } = await longhaul(['keys', 'ls', '--json']);
  expect(out).not.toContain(key);
  const listed = JSON.parse(out) as { id: string; name: string; last_used_at: number }[];
  expect(listed.map(({ name }) => name).sort()).toEqual(['laptop', 'phone']);
  expect(listed.find((one) => one.id === id)).toEqual({
    id,
    name: 'phone',
    created_at: expect.any(Number),
    last_used_at: expect.any(Number),
  });

  expect(await longhaul(['keys', 'revoke', id])).toEqual({ code: 0, out: `${id} revoked\n`, err: '' });
  expect(await errorOf(clientWith(key).models.list())).toBeInstanceOf(AuthenticationError);

  const nobody = { REDIS_URL: `redis://127.0.0.1:${await freePort()}` };
  const wrong: [args: string[], code: number, env?: NodeJS.ProcessEnv][] = [
    [['revoke', id], 1],
    [['create'], 2],
    [['create', ' '], 2],
    [['create', 'n'.repeat(65)], 2],
    [['cut'], 2],
    [['ls'], 3, nobody],
    [['ls'], 3, { REDIS_URL: `${nobody.REDIS_URL.replace('//', '//:p@s3cret@')}/?password=s3cret` }],
    [['ls'], 2, { REDIS_URL: 'redis://:p%s3cret@127.0.0.1' }],
    [['ls'], 2, { REDIS_URL: 'http://:s3cret@127.0.0.1' }],
  ];
  const refused = await Promise.all(wrong.map(([args, , env]) => longhaul(['keys', ...args], env)));
  for (const [i, [, code]] of wrong.entries()) {
    expect(refused[i]).toEqual({ code, out: '', err: expect.stringMatching(/^longhaul: [^\n]*\n$/) });
    expect(refused[i]!.err).not.toContain('s3cret');
  }
});

it('are on no command line of the examples and of what npm start tells to try', async () => {
  const { howToTry } = (await import('../deploy/local/how-to-try.mjs' as string)) as {
    howToTry(url: string, model: string, withKey: boolean): string;
  };
  const hint = /^ {2}printf [\s\S]+?}'$/m.exec(howToTry(api.url, 'no-such-model', true))![0];
  const { key } = await create('shell');
  const folder = api.environment['LONGHAUL_DATA_DIR']!;
  const log = join(folder, 'curl.log');
  await writeFile(log, '');
  const curl = `#!/bin/sh\nprintf '%s\\n' "$*" >>'${log}'\nPATH="\${PATH#*:}" exec curl "$@"\n`;
  await writeFile(join(folder, 'curl'), curl, { mode: 0o755 });
  const PATH = `${folder}:${process.env['PATH']}`;
  const env = { ...process.env, PATH, LONGHAUL_URL: api.url, LONGHAUL_API_KEY: key };
  const runs: [command: string, args: string[], last: string][] = [
    ['sh', ['-c', hint], '/v1/chat/completions'],
    ['examples/batch-with-curl.sh', [], '/v1/batches/batch_'],
    ['examples/job-with-curl.sh', [], '/events'],
  ];
  const printed = runs.map(async ([command, args, last]) => {
    const child = spawn(command, args, {
      cwd: join(import.meta.dirname, '..'),
      env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    const output = Promise.all([text(child.stdout), text(child.stderr)]);
    const ended = () => child.exitCode !== null;
    // Nobody answers what the examples ask: they wait until they are ended.
    await until(async () => ended() || (command !== 'sh' && (await readFile(log, 'utf8')).includes(last)));
    if (!ended()) process.kill(-child.pid!, 'SIGTERM');
    return (await output).join('');
  });
  expect((await Promise.all(printed))[0]).toContain('model_not_found');
  const lines = await readFile(log, 'utf8');
  for (const [, , last] of runs) expect(lines).toContain(last);
  expect(lines).not.toContain(key);
});

it('are sent by the demo only where a header can hold them', async () => {
  const { batchClient } = (await import('../deploy/local/batch-client.mjs' as string)) as {
    batchClient(url: string): { models(): Promise<unknown[]> };
  };
  const { key } = await create('demo');
  try {
    vi.stubEnv('LONGHAUL_API_KEY', ` ${key}\n`);
    expect(await batchClient(api.url).models()).toHaveLength(1);
    vi.stubEnv('LONGHAUL_API_KEY', 'lh-s3cret\nx');
    expect(() => batchClient(api.url)).toThrow(/^LONGHAUL_API_KEY is no key: /);
  } finally {
    vi.unstubAllEnvs();
  }
});

it("are made in the Redis of 'npm start', which the command line finds", async () => {
  const { startRedis } = (await import('../deploy/local/redis-server.mjs' as string)) as {
    startRedis(binary: string, folder: string): Promise<{ stop(): Promise<void> }>;
  };
  const folder = join(api.environment['LONGHAUL_DATA_DIR']!, 'own');
  const env = { REDIS_URL: '', LONGHAUL_DATA_DIR: folder };
  const own = await startRedis(process.env['LONGHAUL_REDIS_SERVER'] || 'redis-server', join(folder, 'redis'));
  try {
    expect(await longhaul(['keys', 'create', 'first'], env)).toMatchObject({ code: 0 });
    expect(await longhaul(['keys', 'ls'], env)).toMatchObject({
      code: 0,
      out: expect.stringMatching(/never +first\n$/),
    });
  } finally {
    await own.stop();
  }
  expect(await longhaul(['keys', 'ls'], env)).toMatchObject({
    code: 3,
    err: expect.stringMatching(/^longhaul: Longhaul does not run on [^\n]*\n$/),
  });
});

it('are needed from the first on, even when the last one is revoked, until they are reset', async () => {
  const open = await startApi({ ...api.environment, LONGHAUL_HOST: OPEN_HOST });
  const { key } = await create('last');
  expect((await clientWith(key, open.url).models.list()).data).toHaveLength(1);
  const all = JSON.parse((await longhaul(['keys', 'ls', '--json'])).out) as { id: string }[];
  await Promise.all(all.map(({ id }) => longhaul(['keys', 'revoke', id])));
  for (const url of [api.url, open.url]) {
    expect(await errorOf(clientWith(key, url).models.list())).toBeInstanceOf(AuthenticationError);
  }
  expect(await longhaul(['keys', 'ls'])).toMatchObject({ code: 0, out: expect.stringMatching(/takes no request/) });
  expect(await longhaul(['keys', 'reset'])).toMatchObject({ code: 0, err: '' });
  expect(await errorOf(clientWith(key, open.url).models.list())).toBeInstanceOf(AuthenticationError);
  expect((await clientWith('anything').models.list()).data).toHaveLength(1);
  await open.process.kill('SIGTERM');
});
