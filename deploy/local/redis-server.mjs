// Longhaul's own Redis: one per data directory, on loopback, append-only file on, nothing ever evicted.
import { spawn } from 'node:child_process';
import { closeSync, mkdirSync, openSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { tail } from './command.mjs';
import { claim, identity, isAlive, readOwner, release } from './ownership.mjs';
import { redisInfo } from './redis-ping.mjs';
import { SetupError } from './setup-error.mjs';
import { supervise } from './supervisor.mjs';

/** Loading a large append-only file takes its time. */
const startLimit = 120_000;

/**
 * Starts a redis-server whose data are in `folder` and keeps it running on one free port of 127.0.0.1.
 * @param {string} binary path of redis-server
 * @param {string} folder its data; two servers must never share it
 * @param {(what: string, delay: number) => void} [onDeath] see `supervise`
 * @returns {Promise<{url: string, pid: number | undefined, stop(): Promise<void>}>}
 * @throws SetupError if another living Longhaul owns the folder, or the server does not come up.
 */
export async function startRedis(binary, folder, onDeath) {
  mkdirSync(folder, { recursive: true });
  const lock = join(folder, 'owner.json');
  const pidFile = pidFileIn(folder);
  const owner = claim(lock);
  if (owner) {
    throw new SetupError(
      `Another Longhaul (process ${owner.pid}) runs on ${folder}.\n` +
        'Stop it, or use a data directory of its own: LONGHAUL_DATA_DIR=/some/folder',
    );
  }
  try {
    await endLeftover(pidFile);
    const port = await freePort();
    const url = `redis://127.0.0.1:${port}`;
    const logFile = join(folder, 'redis.log');
    let failure;
    const server = supervise({
      spawn: () => launch(binary, folder, port, pidFile, logFile),
      onDeath: (what, pause) => {
        failure = what;
        onDeath?.(what, pause);
      },
    });
    const stop = async () => {
      await server.stop(10_000);
      rmSync(pidFile, { force: true });
      release(lock);
    };
    const limit = Date.now() + startLimit;
    while (!(await answers(url, server))) {
      if (failure === undefined && Date.now() < limit) continue;
      await stop();
      const log = tail(readFileSync(logFile, 'utf8'), 8);
      throw new SetupError(
        `Redis does not start (${failure ?? 'no answer'}): ${binary}\n${log}\nWhole log: ${logFile}`,
      );
    }
    return {
      url,
      get pid() {
        return server.pid;
      },
      stop,
    };
  } catch (error) {
    release(lock);
    throw error;
  }
}

/** Where the server answers whose data are in `folder`; undefined where none runs. */
export function runningRedis(folder) {
  const server = readOwner(pidFileIn(folder));
  return isAlive(server) ? server.url : undefined;
}

const pidFileIn = (folder) => join(folder, 'server.json');

/** A port of 127.0.0.1 that nobody listens on. */
export async function freePort() {
  const probe = net.createServer();
  await new Promise((resolve, reject) => probe.once('error', reject).listen(0, '127.0.0.1', resolve));
  const { port } = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  return port;
}

// The subshell reads a pipe from us: when we are gone, however hard, it ends and stops the server ($$ is its pid by then).
const withKeeper = '(cat <&3 >/dev/null; kill -TERM $$ 2>/dev/null) & exec "$@" 3<&-';

function launch(binary, folder, port, pidFile, logFile) {
  const options = {
    bind: '127.0.0.1',
    port,
    dir: folder,
    daemonize: 'no',
    appendonly: 'yes',
    appendfsync: 'everysec',
    save: '',
    'maxmemory-policy': 'noeviction',
  };
  const args = Object.entries(options).flatMap(([name, value]) => [`--${name}`, String(value)]);
  const log = openSync(logFile, 'a');
  // detached: a process group of its own, so that Ctrl-C reaches us only and the apps can drain before it goes.
  const child = spawn('sh', ['-c', withKeeper, 'sh', binary, ...args], {
    stdio: ['ignore', log, log, 'pipe'],
    detached: true,
  });
  closeSync(log);
  if (child.pid !== undefined) {
    writeFileSync(pidFile, JSON.stringify({ ...identity(child.pid), url: `redis://127.0.0.1:${port}` }));
  }
  child.once('exit', () => child.stdio[3]?.destroy());
  return child;
}

/** One try, which waits a moment if it fails. */
async function answers(url, server) {
  try {
    const info = await redisInfo(url, 2000);
    if (Number(info.process_id) === server.pid && info.loading === '0') return true;
  } catch {
    // not listening yet
  }
  await delay(30);
  return false;
}

/** The server of a run that was killed hard is on its way out: waits for its end, so that no two share the files. */
async function endLeftover(pidFile) {
  const leftover = readOwner(pidFile);
  if (!isAlive(leftover)) return;
  try {
    process.kill(leftover.pid, 'SIGTERM');
  } catch (error) {
    if (error.code !== 'ESRCH') throw error; // it has just ended
  }
  const limit = Date.now() + 15_000;
  while (isAlive(leftover)) {
    if (Date.now() > limit) {
      throw new SetupError(
        `The Redis of an earlier run (process ${leftover.pid}) still holds the data and does not end.\nkill ${leftover.pid}`,
      );
    }
    await delay(50);
  }
}
