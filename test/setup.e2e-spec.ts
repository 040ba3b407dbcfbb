import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { constants } from 'node:fs';
import { copyFile, mkdir, mkdtemp, open, readFile, rm, stat, symlink, truncate, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Redis } from 'ioredis';
import { afterEach, beforeEach, describe, expect, it, onTestFinished } from 'vitest';
import { freePort, startRedis as startTestRedis } from './redis-server.js';

const root = resolve(dirname(fileURLToPath(import.meta.url)), '..');
const local = (name: string): string => join(root, 'deploy/local', name);
const redisServer = process.env['LONGHAUL_REDIS_SERVER'] || 'redis-server';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-setup-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly output: string;
}

/** Runs one of the scripts, or a line of code, with a data directory of the test's own. */
function run(args: readonly string[], env: Readonly<Record<string, string>> = {}): Promise<Outcome> {
  return new Promise((done) => {
    const options = { cwd: root, env: { ...process.env, LONGHAUL_DATA_DIR: folder, INIT_CWD: root, ...env } };
    execFile(process.execPath, args, options, (error, stdout, stderr) => {
      done({ code: error ? Number(error.code) : 0, output: stdout + stderr });
    });
  });
}

const script = (code: string): string[] => ['--input-type=module', '-e', code];

describe('set-up', () => {
  it('does nothing twice', async () => {
    await run([local('setup.mjs')]);
    const files = [join(root, 'node_modules/.package-lock.json'), join(root, 'dist/.sources.sha256')];
    const times = async () => (await Promise.all(files.map((file) => stat(file)))).map((found) => found.mtimeMs);
    const before = await times();
    const second = await run([local('setup.mjs')]);
    expect(second.output).toMatch(/^dependencies +up to date$/m);
    expect(second.output).toMatch(/^build +up to date$/m);
    expect(second.output).toMatch(/^model .*checked before$/m);
    expect(second.code).toBe(0);
    expect(await times()).toEqual(before);
  });

  it('lets one run wait for the other', async () => {
    const lock = join(folder, 'setup.lock');
    const holder = spawn(
      process.execPath,
      script(
        `import { claim } from '${local('ownership.mjs')}'; claim('${lock}'); console.log('mine'); setInterval(() => {}, 1000);`,
      ),
    );
    await once(holder.stdout, 'data');
    const waiting = spawn(process.execPath, [local('setup.mjs')], {
      cwd: root,
      env: { ...process.env, LONGHAUL_DATA_DIR: folder },
    });
    const [line] = await once(waiting.stdout, 'data');
    expect(String(line)).toContain(`waiting for another one (process ${holder.pid})`);
    holder.kill('SIGKILL'); // its lock is stale now and must not be waited for
    const [code] = await once(waiting, 'exit');
    expect(code).toBe(0);
  });

  it('names the ways out where Redis is missing and cannot be installed', async () => {
    const { code, output } = await run([local('setup.mjs')], { PATH: '/nowhere' });
    expect(code).toBe(1);
    expect(output).toContain('Redis is needed (>= 6.2), is not installed and could not be installed here.');
    expect(output).toContain('apt-get install redis-server');
    expect(output).toContain('REDIS_URL=redis://');
    expect(output).toContain('docker run');
    expect(output).not.toContain('    at '); // no stack
  });
});

describe('the Redis that REDIS_URL names', () => {
  it('is missed at once where nothing listens', async () => {
    const { code, output } = await run([local('start.mjs')], {
      REDIS_URL: `redis://:p@secret@127.0.0.1:${await freePort()}`,
    });
    expect(code).toBe(1);
    expect(output).toMatch(/No Redis at redis:\/\/127\.0\.0\.1:\d+: .*ECONNREFUSED/);
    expect(output).not.toContain('secret');
  });

  it('is missed within seconds where something else listens, even in silence', async () => {
    const silent = createServer().listen(0, '127.0.0.1');
    await once(silent, 'listening');
    onTestFinished(() => void silent.close());
    const address = silent.address() as { port: number };
    const { code, output } = await run([local('setup.mjs')], { REDIS_URL: `redis://127.0.0.1:${address.port}` });
    expect(code).toBe(1);
    expect(output).toContain('no answer within 5 s');
  });

  it('must not be one that loses jobs unseen', async () => {
    const redis = await startTestRedis();
    onTestFinished(() => redis.stop());
    const client = new Redis(redis.url);
    onTestFinished(() => client.disconnect());
    const clean = await run([local('setup.mjs')], { REDIS_URL: redis.url });
    expect(clean.code).toBe(0);
    expect(clean.output).not.toContain('warning');
    await client.config('SET', 'maxmemory-policy', 'allkeys-lru');
    await client.config('SET', 'appendonly', 'no');
    await client.config('SET', 'requirepass', 'a b%');
    const risky = await run([local('setup.mjs')], {
      REDIS_URL: redis.url.replace('//', `//:${encodeURIComponent('a b%')}@`),
    });
    expect(risky.code).toBe(0);
    expect(risky.output).toContain('maxmemory-policy is allkeys-lru, should be noeviction');
    expect(risky.output).toContain('appendonly is no, should be yes');
    const refused = await run([local('setup.mjs')], { REDIS_URL: redis.url });
    expect(refused.output).toContain('NOAUTH');
  });
});

describe('the model', () => {
  const model = 'models/smollm2-135m-instruct.q4_1.gguf';
  const check = (file: string) =>
    run(
      script(`import { checkModel } from '${local('model.mjs')}'; import { exitWith } from '${local('setup-error.mjs')}';
      checkModel('${file}', true, '${folder}').catch(exitWith);`),
    );

  it('must be the committed one, whole', async () => {
    const file = join(folder, 'model.gguf');
    expect(await check(file)).toMatchObject({ code: 1, output: expect.stringContaining('The model is missing') });

    await writeFile(file, 'version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 98362432\n');
    expect(await check(file)).toMatchObject({ code: 1, output: expect.stringContaining('git lfs pull') });

    await rm(file);
    await copyFile(join(root, model), file, constants.COPYFILE_FICLONE);
    expect(await check(file)).toMatchObject({ code: 0, output: expect.stringContaining('sha256 as expected') });
    expect(await check(file)).toMatchObject({ code: 0, output: expect.stringContaining('checked before') });

    const bytes = await open(file, 'r+');
    await bytes.write(Buffer.from([1]), 0, 1, 50_000_000);
    await bytes.write(Buffer.from([2]), 0, 1, 50_000_001);
    await bytes.close();
    expect(await check(file)).toMatchObject({
      code: 1,
      output: expect.stringMatching(/damaged: expected sha256 b179/),
    });

    await truncate(file, 1000);
    expect(await check(file)).toMatchObject({
      code: 1,
      output: expect.stringContaining('expected 98362432 bytes, found 1000'),
    });
  });
});

describe('the build', () => {
  const build = () =>
    run(
      script(`import { build } from '${local('build.mjs')}'; import { exitWith } from '${local('setup-error.mjs')}';
      build('${folder}').catch(exitWith);`),
    );

  it('is made again when a source changes, and never looks complete when it failed', async () => {
    for (const name of ['package.json', 'package-lock.json', 'tsconfig.json', 'tsconfig.build.json', 'nest-cli.json']) {
      await copyFile(join(root, name), join(folder, name));
    }
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    await mkdir(join(folder, 'apps/api/src'), { recursive: true });
    await mkdir(join(folder, 'libs'));
    await mkdir(join(folder, 'bench'));
    await mkdir(join(folder, 'examples'));
    const source = join(folder, 'apps/api/src/main.ts');
    const stamp = join(folder, 'dist/.sources.sha256');

    await writeFile(source, 'export const answer: number = 42;\n');
    expect(await build()).toMatchObject({ code: 0, output: expect.stringContaining('compiling') });
    expect(await readFile(join(folder, 'dist/apps/api/src/main.js'), 'utf8')).toContain('answer = 42');
    expect(await build()).toMatchObject({ code: 0, output: expect.stringContaining('up to date') });

    await writeFile(source, "export const answer: number = 'none';\n");
    expect(await build()).toMatchObject({ code: 1, output: expect.stringContaining('TS2322') });
    await expect(stat(stamp)).rejects.toThrow('ENOENT');
    expect(await build()).toMatchObject({ code: 1 });
  });
});

describe('the supervisor', () => {
  it('starts a dying process again with growing delays, and stops it for good', async () => {
    const { code, output } = await run(
      script(`
        import { spawn } from 'node:child_process';
        import { supervise } from '${local('supervisor.mjs')}';
        const deaths = [];
        const child = supervise({
          spawn: () => spawn(process.execPath, ['-e', 'process.exit(3)']),
          minDelay: 10, maxDelay: 40, stableAfter: 60_000,
          onDeath: async (what, delay) => {
            deaths.push([what, delay]);
            if (deaths.length < 5) return;
            await child.stop(1000);
            console.log(JSON.stringify(deaths));
          },
        });`),
    );
    expect(code).toBe(0); // and nothing left that keeps the process alive
    expect(JSON.parse(output)).toEqual([10, 20, 40, 40, 40].map((delay) => ['exit code 3', delay]));
  });

  it('leaves a process alone that cannot run with its configuration', async () => {
    const { code, output } = await run(
      script(`
        import { spawn } from 'node:child_process';
        import { supervise } from '${local('supervisor.mjs')}';
        supervise({
          spawn: () => spawn(process.execPath, ['-e', 'process.exit(78)']),
          minDelay: 1,
          onDeath: (what) => console.log(what),
          onRefusal: () => console.log('refused'),
        });`),
    );
    expect({ code, output }).toEqual({ code: 0, output: 'refused\n' });
  });

  it('begins with the shortest delay again after a stable time, and kills what does not stop', async () => {
    const { output } = await run(
      script(`
        import { spawn } from 'node:child_process';
        import { once } from 'node:events';
        import { supervise } from '${local('supervisor.mjs')}';
        const delays = [];
        let current, started;
        const stubborn = "process.on('SIGTERM', () => {}); console.log('up'); setInterval(() => {}, 1000)";
        const next = () => new Promise((resolve) => { started = resolve; });
        let up = next();
        const child = supervise({
          spawn: () => {
            current = spawn(process.execPath, ['-e', stubborn]);
            current.stdout.once('data', started);
            return current;
          },
          minDelay: 10, maxDelay: 40, stableAfter: 1,
          onDeath: (what, delay) => delays.push([what, delay]),
        });
        for (let i = 0; i < 3; i++) {
          await up;
          up = next();
          current.kill('SIGKILL');
        }
        await up;
        console.log(JSON.stringify({ delays, byItself: await child.stop(50), signal: current.signalCode }));`),
    );
    expect(JSON.parse(output)).toEqual({
      delays: [10, 10, 10].map((delay) => ['SIGKILL', delay]),
      byItself: false,
      signal: 'SIGKILL',
    });
  });
});

describe('Longhaul’s own Redis', () => {
  /** A process that owns a Redis in `folder` and prints its address and pid. */
  const owner = async () => {
    const process_ = spawn(
      process.execPath,
      script(`import { startRedis } from '${local('redis-server.mjs')}'; import { exitWith } from '${local('setup-error.mjs')}';
        startRedis('${redisServer}', '${folder}').then(({ url, pid }) => console.log(JSON.stringify({ url, pid })), exitWith);`),
    );
    const stream = await Promise.race([once(process_.stdout, 'data'), once(process_.stderr, 'data')]);
    return { process: process_, said: String(stream[0]) };
  };

  it('keeps jobs: append-only file, no eviction, loopback only', async () => {
    const { process: holder, said } = await owner();
    const client = new Redis((JSON.parse(said) as { url: string }).url, { retryStrategy: () => null });
    const gone = once(client, 'end');
    const settings = async (name: string) => (await client.config('GET', name)) as string[];
    expect(await settings('appendonly')).toContain('yes');
    expect(await settings('appendfsync')).toContain('everysec');
    expect(await settings('maxmemory-policy')).toContain('noeviction');
    expect(await settings('bind')).toContain('127.0.0.1');
    holder.kill('SIGKILL');
    await gone; // before its folder is removed
  });

  it('is never two on one folder; after a hard kill of its owner the next one finds the data', async () => {
    const first = await owner();
    const { url, pid } = JSON.parse(first.said) as { url: string; pid: number };
    const client = new Redis(url, { retryStrategy: () => null });
    await client.set('kept', 'yes');

    const second = await owner();
    expect(second.said).toContain(`Another Longhaul (process ${first.process.pid}) runs on ${folder}`);
    expect(await client.ping()).toBe('PONG');

    const gone = once(client, 'end');
    const ended = once(first.process, 'exit');
    first.process.kill('SIGKILL');
    await ended;
    const third = await owner();
    await gone; // the server ended although its owner could not stop it
    const next = JSON.parse(third.said) as { url: string; pid: number };
    expect(next.pid).not.toBe(pid);
    const again = new Redis(next.url, { retryStrategy: () => null });
    expect(await again.get('kept')).toBe('yes');
    const nextGone = once(again, 'end');
    third.process.kill('SIGKILL');
    await nextGone; // before its folder is removed
  });
});
