import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { ApiKeys, NAME_LENGTH } from '@app/api-keys';
import { Redis } from 'ioredis';
import { CliError, EXIT, UsageError } from './cli-error.js';
import { LONGHAUL } from './command-name.js';
import { oneLine, shortTime, table } from './plain-text.js';
import { printJson } from './service.js';

const SET_UP = join(import.meta.dirname, '../../../../deploy/local');
const HOME = join(import.meta.dirname, '../../../../.longhaul');
const TIMEOUT_MS = 5000;

const CLOSED = `the API takes no request. '${LONGHAUL} keys create' makes another key, '${LONGHAUL} keys reset' opens it to this machine again.`;

/** Where the keys are; empty: not said. */
export interface KeysOptions {
  readonly redis?: string;
  readonly dataDir?: string;
  readonly json?: true;
}

/** Prints the key alone to stdout, so that a shell can take it. */
export async function createKey(given: string, options: KeysOptions): Promise<void> {
  const name = oneLine(given);
  if (name === '' || name.length > NAME_LENGTH) {
    throw new UsageError(`The name of a key has 1 to ${NAME_LENGTH} characters, this one ${name.length}.`);
  }
  await withKeys(options, async (keys) => {
    const { key, ...created } = await keys.create(name);
    if (options.json) return printJson({ ...created, key });
    console.log(key);
    console.error(`${created.id} ${name}: shown this once, kept nowhere. Every request needs a key from now on.`);
  });
}

export async function listKeys(options: KeysOptions): Promise<void> {
  await withKeys(options, async (keys) => {
    const all = await keys.list();
    if (options.json) return printJson(all);
    if (all.length === 0) {
      const { any } = await keys.check(undefined);
      return console.log(
        any ? `no keys: ${CLOSED}` : 'no keys yet: the API takes every request, from this machine alone',
      );
    }
    const rows = all.map(({ id, name, created_at, last_used_at }) => [
      id,
      shortTime(created_at),
      last_used_at === null ? 'never' : shortTime(last_used_at),
      oneLine(name),
    ]);
    console.log(table(['key', 'created', 'last used', 'name'], rows));
  });
}

export async function revokeKey(id: string, options: KeysOptions): Promise<void> {
  await withKeys(options, async (keys) => {
    if (!(await keys.revoke(id))) throw new CliError(`There is no key ${id}: ${LONGHAUL} keys ls lists them.`);
    if (options.json) return printJson({ id, revoked: true });
    console.log(`${id} revoked`);
    if ((await keys.count()) === 0) console.error(`That was the last one: ${CLOSED}`);
  });
}

export async function resetKeys(options: KeysOptions): Promise<void> {
  await withKeys(options, async (keys) => {
    await keys.reset();
    if (options.json) return printJson({ reset: true });
    console.log('no keys any more: an API on loopback takes every request of this machine, any other none');
  });
}

async function withKeys(options: KeysOptions, use: (keys: ApiKeys) => Promise<void>): Promise<void> {
  const url = await (options.redis ? givenRedis(options.redis) : localRedis(options.dataDir || HOME));
  const redis = new Redis(url, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: TIMEOUT_MS,
    commandTimeout: TIMEOUT_MS,
  });
  let reason: Error | undefined;
  redis.on('error', (error: Error) => {
    reason = error;
  });
  try {
    await redis.connect();
    await use(new ApiKeys(redis));
  } catch (error) {
    if (error instanceof CliError) throw error;
    const { message } = reason ?? (error as Error);
    const { withoutPassword } = (await setUp('redis-ping.mjs')) as { withoutPassword(url: string): string };
    const found = `Redis at ${withoutPassword(url)} cannot be used: ${message}.`;
    throw new CliError(`${found} Is it the service's (REDIS_URL)?`, EXIT.unreachable, 'unreachable');
  } finally {
    redis.disconnect();
  }
}

/** What is no address is not shown: it may hold a password all the same. */
async function givenRedis(url: string): Promise<string> {
  const { isRedisAddress } = (await setUp('redis-ping.mjs')) as { isRedisAddress(url: string): boolean };
  if (isRedisAddress(url)) return url;
  throw new UsageError(
    'REDIS_URL: expected an address such as redis://127.0.0.1:6379 or rediss://user:password@host:6379, the password ' +
      'percent-encoded, found something else.',
  );
}

/** The address of the Redis that `longhaul up` started. */
async function localRedis(dataDir: string): Promise<string> {
  const { runningRedis } = (await setUp('redis-server.mjs')) as {
    runningRedis(folder: string): string | undefined;
  };
  const url = runningRedis(join(dataDir, 'redis'));
  if (url !== undefined) return url;
  throw new CliError(
    `Longhaul does not run on ${dataDir}, so there is nobody to keep keys: start it with '${LONGHAUL} up', or name its Redis in REDIS_URL.`,
    EXIT.unreachable,
    'unreachable',
  );
}

/** A module of the set-up, which is plain JavaScript. */
const setUp = (name: string): Promise<unknown> => import(pathToFileURL(join(SET_UP, name)).href);
