// What runs when Longhaul runs here: Redis (unless REDIS_URL names one), the API and one worker.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import net from 'node:net';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { modelFile, root } from './paths.mjs';
import { startRedis } from './redis-server.mjs';
import { SetupError } from './setup-error.mjs';
import { supervise } from './supervisor.mjs';

const outputMayClose = new URL('./output-may-close.mjs', import.meta.url).href;

/** Where the API is reached from here: LONGHAUL_HOST, or the loopback address of a wildcard. */
const listenHost = process.env.LONGHAUL_HOST || '127.0.0.1';
const host = { '0.0.0.0': '127.0.0.1', '::': '::1' }[listenHost] ?? listenHost;

/** How long a stopped app may drain: what it allows itself (LONGHAUL_DRAIN_SECONDS) and a little more. */
const drainLimit = (Number(process.env.LONGHAUL_DRAIN_SECONDS || 25) + 5) * 1000;

/**
 * Starts everything and keeps it running.
 * @param {object} options
 * @param {number} options.port of the API
 * @param {string} options.dataDir LONGHAUL_DATA_DIR of the apps
 * @param {string} [options.redis] path of redis-server; absent: REDIS_URL is used
 * @param {'inherit' | number} options.output where the apps print: here, or to a file descriptor
 * @param {(name: string, what: string, delay: number) => void} options.onDeath a part died and is started again
 * @param {(name: string) => void} options.onRefusal a part cannot run with this configuration and has printed why
 */
export async function startServices({ port, dataDir, redis, output, onDeath, onRefusal }) {
  mkdirSync(dataDir, { recursive: true });
  const ownRedis = redis && (await startRedis(redis, join(dataDir, 'redis'), (...death) => onDeath('redis', ...death)));
  const env = {
    ...process.env,
    PORT: String(port),
    REDIS_URL: ownRedis?.url ?? process.env.REDIS_URL,
    LONGHAUL_DATA_DIR: dataDir,
    LONGHAUL_MODEL: modelFile,
    // Large pages for weights and caches, which every step reads whole: a step takes some percent less. C libraries other than glibc ignore it.
    GLIBC_TUNABLES: process.env.GLIBC_TUNABLES ?? 'glibc.malloc.hugetlb=1',
    ...(output === 'inherit' && process.stdout.isTTY ? {} : { NO_COLOR: '1' }),
  };
  const app = (name) =>
    supervise({
      // detached, as Redis is: Ctrl-C reaches us only. The channel closes when we are gone: then the app drains, too.
      spawn: () =>
        spawn(process.execPath, ['--enable-source-maps', '--import', outputMayClose, `dist/apps/${name}/src/main.js`], {
          cwd: root,
          env,
          stdio: ['ignore', output, output, 'ipc'],
          detached: true,
        }),
      onDeath: (...death) => onDeath(name, ...death),
      onRefusal: () => onRefusal(name),
    });
  const api = app('api');
  const worker = app('worker');
  return {
    url: `http://${host.includes(':') ? `[${host}]` : host}:${port}`,
    redisUrl: env.REDIS_URL,
    /**
     * Drains and ends everything: the API first, so that the worker answers the requests that still wait; then the
     * worker, then Redis.
     * @param {AbortSignal} [now] aborted: whatever still runs is killed (Redis is always ended properly)
     * @param {number} [limit] ms that each may drain before it is killed
     */
    async stop(now, limit = drainLimit) {
      await api.stop(limit, now);
      await worker.stop(limit, now);
      await ownRedis?.stop();
    },
  };
}

/** Resolves when `GET /health` says that all is well and that there is a worker. */
export async function untilReady(url, signal) {
  for (;;) {
    signal?.throwIfAborted();
    try {
      const response = await fetch(`${url}/health`, { signal: AbortSignal.timeout(5000) });
      const { workers } = await response.json();
      if (response.ok && workers >= 1) return;
    } catch {
      // not listening yet
    }
    await delay(200, undefined, { signal });
  }
}

/** PORT, checked to be free. */
export async function apiPort() {
  const port = Number(process.env.PORT || 8080);
  if (!Number.isInteger(port) || port < 1 || port > 65535) {
    throw new SetupError(`PORT: expected a number from 1 to 65535, found ${process.env.PORT}`);
  }
  const probe = net.createServer();
  try {
    await new Promise((resolve, reject) => probe.once('error', reject).listen(port, host, resolve));
  } catch (error) {
    if (['EADDRNOTAVAIL', 'ENOTFOUND', 'EAI_AGAIN'].includes(error.code)) {
      throw new SetupError(`LONGHAUL_HOST: expected an address of this machine, found ${listenHost} (${error.code})`);
    }
    const why = error.code === 'EADDRINUSE' ? 'is taken by another program' : `cannot be used (${error.code})`;
    throw new SetupError(`Port ${port} ${why}. Choose another: PORT=${port + 1} npm start`);
  }
  await new Promise((resolve) => probe.close(resolve));
  return port;
}
