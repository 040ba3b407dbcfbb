import { ApiError } from '@app/batches';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Redis } from 'ioredis';
import { clientKey } from './client-key.js';

const MINUTE_MS = 60_000;

/**
 * The generic cell rate algorithm (ITU-T I.371): one number a client, the time at which all that it has asked would be
 * paid for at an even rate. By Redis' clock, so that all API processes agree.
 * KEYS: client. ARGV: milliseconds a request is worth, milliseconds that may be owed.
 * Returns {1 if allowed, milliseconds owed afterwards}.
 */
const TAKE = `
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local paid = math.max(tonumber(redis.call('GET', KEYS[1]) or now), now)
local owed = paid + ARGV[1] - now
if owed > tonumber(ARGV[2]) then return {0, paid - now} end
redis.call('SET', KEYS[1], paid + ARGV[1], 'PX', math.ceil(owed))
return {1, owed}
`;

/** Refuses clients that ask more often than they may, and tells all where they stand in OpenAI's headers. */
export function rateLimit(redis: Redis, requestsPerMinute: number): RequestHandler {
  const cost = MINUTE_MS / requestsPerMinute;
  return async (request: Request, response: Response, next: NextFunction) => {
    try {
      const key = `longhaul:rate:{${clientKey(request)}}`;
      const [allowed, owed] = (await redis.eval(TAKE, 1, key, Math.ceil(cost), MINUTE_MS)) as [0 | 1, number];
      response.setHeader('x-ratelimit-limit-requests', requestsPerMinute);
      response.setHeader(
        'x-ratelimit-remaining-requests',
        Math.max(0, Math.floor((MINUTE_MS - owed) / Math.ceil(cost))),
      );
      response.setHeader('x-ratelimit-reset-requests', duration(owed));
      if (allowed === 1) return next();
      const wait = owed + cost - MINUTE_MS;
      response.setHeader('retry-after-ms', Math.ceil(wait));
      response.setHeader('retry-after', Math.ceil(wait / 1000));
      next(
        new ApiError(
          429,
          'requests',
          `Rate limit reached: ${requestsPerMinute} requests a minute. Try again in ${duration(wait)}.`,
          null,
          'rate_limit_exceeded',
        ),
      );
    } catch (error) {
      next(error);
    }
  };
}

/** As OpenAI writes it: `850ms`, `12s`, `1m0s`. */
function duration(milliseconds: number): string {
  if (milliseconds < 1000) return `${Math.ceil(milliseconds)}ms`;
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 60 ? `${seconds}s` : `${Math.floor(seconds / 60)}m${seconds % 60}s`;
}
