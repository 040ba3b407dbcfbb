import type { Redis } from 'ioredis';

/**
 * Stores an item unless it is there, moves the counters, tells the listeners. Results outlive `expires_at` by nobody's
 * late write: what is made after the expiry was set expires with the rest.
 * KEYS: items, counts. ARGV: index, result, counter to move, channel, event as JSON without its counts and brace, then
 * input, cached and output tokens.
 * Returns {1 if it was the first, total, completed, failed}.
 */
const RECORD = `
local first = redis.call('HSETNX', KEYS[1], ARGV[1], ARGV[2])
if first == 1 then
  redis.call('HINCRBY', KEYS[2], ARGV[3], 1)
  redis.call('HINCRBY', KEYS[2], 'input_tokens', ARGV[6])
  redis.call('HINCRBY', KEYS[2], 'cached_tokens', ARGV[7])
  redis.call('HINCRBY', KEYS[2], 'output_tokens', ARGV[8])
end
local found = redis.call('HMGET', KEYS[2], 'total', 'completed', 'failed', 'expires_at')
local total, completed, failed = tonumber(found[1] or 0), tonumber(found[2] or 0), tonumber(found[3] or 0)
if first == 1 then
  if found[4] then
    redis.call('EXPIREAT', KEYS[1], found[4])
    redis.call('EXPIREAT', KEYS[2], found[4])
  end
  redis.call('PUBLISH', ARGV[4], ARGV[5] .. ',"counts":{"total":' .. total .. ',"completed":' .. completed
    .. ',"failed":' .. failed .. '}}')
end
return {first, total, completed, failed}
`;

/** Sets when a batch's keys go. KEYS: items, counts, attempts. ARGV: Unix seconds. */
const EXPIRE = `
redis.call('HSET', KEYS[2], 'expires_at', ARGV[1])
for _, key in ipairs(KEYS) do redis.call('EXPIREAT', key, ARGV[1]) end
`;

/** A connection that knows the scripts of this library. */
export interface ResultScripts {
  recordItem(
    items: string,
    counts: string,
    index: number,
    result: string,
    counter: 'completed' | 'failed',
    channel: string,
    event: string,
    inputTokens: number,
    cachedTokens: number,
    outputTokens: number,
  ): Promise<[first: number, total: number, completed: number, failed: number]>;
  expireResults(items: string, counts: string, attempts: string, unixSeconds: number): Promise<null>;
}

/** Teaches a connection the scripts; EVALSHA, and the text again after a Redis restart. */
export function withResultScripts(redis: Redis): Redis & ResultScripts {
  redis.defineCommand('recordItem', { numberOfKeys: 2, lua: RECORD });
  redis.defineCommand('expireResults', { numberOfKeys: 3, lua: EXPIRE });
  return redis as Redis & ResultScripts;
}
