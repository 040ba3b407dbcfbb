import { withoutPassword } from '@app/config';
import { Logger } from '@nestjs/common';
import { Redis, type RedisOptions } from 'ioredis';
import { RedisUnavailableError } from './redis-errors.js';

/** Longest pause between two tries to reconnect, in milliseconds. */
const MAX_RETRY_DELAY_MS = 2000;
/** How long a request waits for one answer of Redis, in milliseconds. */
const REQUEST_TIMEOUT_MS = 3000;

const retryStrategy = (times: number): number => Math.min(50 * 2 ** Math.min(times, 10), MAX_RETRY_DELAY_MS);

/**
 * A connection for work that may wait: BullMQ workers, subscriptions, recording results. While Redis is away commands
 * are kept and sent when it is back; the connection opens with the first command, or with `connect()`.
 */
export function connectRedis(url: string, options: Omit<RedisOptions, 'replyMapping'> = {}): Redis {
  const redis = new Redis(url, { lazyConnect: true, maxRetriesPerRequest: null, retryStrategy, ...options });
  reportOutages(redis, url);
  return redis;
}

/**
 * A connection for requests that somebody waits for: commands fail at once while Redis is away (nothing is sent later
 * behind the caller's back), and after three seconds without an answer. It reconnects by itself. `connect()` it before use.
 */
export const connectRedisForRequests = (url: string): Redis =>
  connectRedis(url, {
    enableOfflineQueue: false,
    autoResendUnfulfilledCommands: false,
    maxRetriesPerRequest: 0,
    connectTimeout: REQUEST_TIMEOUT_MS,
    commandTimeout: REQUEST_TIMEOUT_MS,
  });

/** One line when the connection is lost and one when it is back, not one for every try. */
function reportOutages(redis: Redis, url: string): void {
  const logger = new Logger('Redis');
  let lost = false;
  let reason = 'connection closed';
  redis.on('error', (error: Error) => {
    reason = reasonOf(error);
  });
  redis.on('reconnecting', () => {
    if (!lost) logger.warn(`Lost ${withoutPassword(url)}, trying again: ${reason}`);
    lost = true;
  });
  redis.on('ready', () => {
    if (lost) logger.log(`${withoutPassword(url)} is back`);
    lost = false;
  });
}

/**
 * Resolves once Redis answers; meant for the start of an app. Throws `RedisUnavailableError` where it has not within
 * `timeoutMs`, and at once where it refuses our credentials.
 */
export async function assertRedisReady(url: string, timeoutMs: number = 5000): Promise<void> {
  const redis = new Redis(url, { lazyConnect: true, retryStrategy, connectTimeout: timeoutMs });
  let last = 'no answer';
  let timer: NodeJS.Timeout | undefined;
  try {
    await new Promise<void>((resolve, reject) => {
      const fail = (reason: string): void => reject(new RedisUnavailableError(url, reason));
      const late = (): void => fail(`no connection within ${timeoutMs / 1000} s (${last})`);
      // What came in while this process was busy is heard first.
      timer = setTimeout(() => setImmediate(late), timeoutMs);
      redis.on('error', (error: Error) => {
        last = reasonOf(error);
        if (/NOAUTH|WRONGPASS|NOPERM/.test(last)) fail(last);
      });
      redis.once('ready', () =>
        redis.ping().then(
          () => resolve(),
          (error: Error) => fail(reasonOf(error)),
        ),
      );
      // What goes wrong here is told by the `error` event too.
      redis.connect().catch(() => undefined);
    });
  } finally {
    clearTimeout(timer);
    redis.disconnect();
  }
}

/** Settings under which Redis forgets jobs or results, each with what to do; asked once at the start of an app. */
export async function warnAboutRedisSettings(redis: Redis, logger: { warn(message: string): void }): Promise<void> {
  for (const { setting, wanted, risk } of NEEDED_SETTINGS) {
    let found: string | undefined;
    try {
      found = ((await redis.config('GET', setting)) as string[])[1];
    } catch {
      // Hosted Redis services refuse CONFIG; then only its owner can tell.
      logger.warn(`Cannot read Redis' ${setting}. Make sure that it is "${wanted}": otherwise ${risk}.`);
      continue;
    }
    if (found !== wanted) {
      logger.warn(
        `REDIS IS NOT SAFE FOR JOBS: ${setting} is "${found}", otherwise than "${wanted}" ${risk}. ` +
          `Fix: redis-cli config set ${setting} ${wanted}, and the same in redis.conf.`,
      );
    }
  }
}

const NEEDED_SETTINGS = [
  { setting: 'maxmemory-policy', wanted: 'noeviction', risk: 'Redis may drop jobs and results when memory is short' },
  { setting: 'appendonly', wanted: 'yes', risk: 'a restart of Redis loses jobs and results' },
] as const;

/** The message of an error; of an `AggregateError` (one per address tried) that of its last part. */
function reasonOf(error: Error): string {
  const inner = error instanceof AggregateError ? (error.errors.at(-1) as Error | undefined) : undefined;
  return (inner ?? error).message || (error as NodeJS.ErrnoException).code || error.name;
}
