import { withoutPassword } from '@app/config';

/** Redis did not answer in time, or refused us. */
export class RedisUnavailableError extends Error {
  override readonly name = 'RedisUnavailableError';

  constructor(url: string, reason: string, options?: ErrorOptions) {
    super(
      `Redis at ${withoutPassword(url)} cannot be used: ${reason}. Start one there (redis-server --appendonly yes ` +
        '--maxmemory-policy noeviction), or point REDIS_URL at one that runs.',
      options,
    );
  }
}

/** What the network says when nobody answers. */
const NETWORK_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'EPIPE',
  'ETIMEDOUT',
  'ENOTFOUND',
  'EAI_AGAIN',
  'EHOSTUNREACH',
]);
/** What ioredis says of a connection that is down or answers too late. */
const CONNECTION_MESSAGES =
  /^(Command timed out|Connection is closed|Stream isn't writeable|connect ETIMEDOUT|Reached the max retries per request)/;
/** What Redis itself says when it cannot serve: starting, out of memory, not writable, with too few replicas, failing over. */
const REPLIES = /^(LOADING|OOM|MISCONF|READONLY|NOREPLICAS|MASTERDOWN|CLUSTERDOWN|NOAUTH|WRONGPASS|TRYAGAIN)\b/;

/** Whether an error of a Redis command means that Redis cannot be used right now, rather than that we asked wrongly. */
export function isRedisUnavailable(error: unknown): boolean {
  if (error instanceof RedisUnavailableError) return true;
  if (!(error instanceof Error)) return false;
  const { code } = error as NodeJS.ErrnoException;
  if (code !== undefined && NETWORK_CODES.has(code)) return true;
  return CONNECTION_MESSAGES.test(error.message) || REPLIES.test(error.message);
}
