import { type ChildProcess, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Duplex } from 'node:stream';

/** A real redis-server of a test's own: append-only file, noeviction, a port of the loopback address. */
export interface RedisServer {
  readonly url: string;
  readonly port: number;
  readonly pid: number;
  /** Ends it, by default at once as a crash would; its data stay. */
  kill(signal?: NodeJS.Signals): Promise<void>;
  /** Starts it again (ending it first if it runs) on the same port with the same data. */
  restart(): Promise<void>;
  /** Ends it and removes its data, unless the folder was given. */
  stop(): Promise<void>;
}

/**
 * Starts a redis-server (LONGHAUL_REDIS_SERVER, else the one in PATH) and waits until it takes connections.
 * @param options.port absent: a free one
 * @param options.dir folder of its data; absent: a new temporary one
 */
export async function startRedis(options: { port?: number; dir?: string } = {}): Promise<RedisServer> {
  const directory = options.dir ?? (await mkdtemp(join(tmpdir(), 'longhaul-redis-')));
  const port = options.port ?? (await freePort());
  let child = await launch(port, directory);
  const kill = async (signal: NodeJS.Signals = 'SIGKILL'): Promise<void> => {
    if (child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, 'exit');
    child.kill(signal);
    await exited;
  };
  return {
    url: `redis://127.0.0.1:${port}`,
    port,
    get pid() {
      return child.pid!;
    },
    kill,
    async restart() {
      await kill();
      child = await launch(port, directory);
    },
    async stop() {
      await kill();
      if (options.dir === undefined) await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Below those that systems give to outgoing connections and to whoever asks for any: nobody gets one before its server has it. */
const PORTS = { from: 10_240, to: 32_768 };
/** Every so many ports one is for this process: others run tests beside it. */
const PROCESSES = 16;
const place = Number(process.env['VITEST_POOL_ID'] ?? 0) % PROCESSES;
const givenPorts = new Set<number>();

/** A port of 127.0.0.1 that nobody listens on; another one each time. */
export async function freePort(): Promise<number> {
  for (;;) {
    const port = PROCESSES * randomInt(PORTS.from / PROCESSES, PORTS.to / PROCESSES) + place;
    if (givenPorts.has(port)) continue;
    givenPorts.add(port);
    const server = createServer().listen(port, '127.0.0.1');
    const isFree = await once(server, 'listening').then(
      () => true,
      () => false,
    );
    if (!isFree) continue;
    server.close();
    await once(server, 'close');
    return port;
  }
}

// The subshell reads a pipe from us, so that a test run that is killed leaves no server behind ($$ is its pid by then).
const withKeeper = '(cat <&3 >/dev/null; kill -KILL $$ 2>/dev/null) & exec "$@" 3<&-';

async function launch(port: number, directory: string): Promise<ChildProcess> {
  const settings = {
    port,
    bind: '127.0.0.1',
    dir: directory,
    appendonly: 'yes',
    // Written before the answer is sent; with 'everysec' that may wait for the disk, and a kill would lose it.
    appendfsync: 'no',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const args = Object.entries(settings).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const binary = process.env['LONGHAUL_REDIS_SERVER'] || 'redis-server';
  const child = spawn('sh', ['-c', withKeeper, 'sh', binary, ...args], { stdio: ['ignore', 'pipe', 'pipe', 'pipe'] });
  const keeper = child.stdio[3] as Duplex;
  keeper.on('error', () => {});
  child.once('exit', () => keeper.destroy());
  await new Promise<void>((resolve, reject) => {
    let log = '';
    const read = (chunk: Buffer): void => {
      log += chunk;
      if (log.includes('Ready to accept connections')) resolve();
    };
    child.stdout!.on('data', read);
    child.stderr!.on('data', read);
    child.once('error', reject);
    child.once('exit', () => reject(new Error(`redis-server did not start:\n${log}`)));
  });
  return child;
}
