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

/** An address fit for logs. */
export const withoutPassword = (url: string): string => url.replace(/\/\/[^@/]*@/, '//***@');
