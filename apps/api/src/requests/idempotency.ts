import { createHash, randomUUID } from 'node:crypto';
import { ApiError } from '@app/batches';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Redis } from 'ioredis';
import { clientKey } from './client-key.js';

const HEADER = 'Idempotency-Key';
/** As long as a client may try again. */
const KEPT_SECONDS = 24 * 3600;
/** A longer response is given once and not kept. */
const MAX_BYTES = 4 * 1024 * 1024;
const KEY = /^[\x21-\x7e]{1,255}$/;

/** A request that was answered, or is being so: then `status` is missing. */
interface Kept {
  readonly run: string;
  readonly fingerprint: string;
  readonly status?: number;
  readonly type?: string;
  readonly body?: string;
}

/** Replaces (ARGV 2, ARGV 3 seconds) or removes a key while the run in ARGV 1 holds it. */
const SETTLE = `
local kept = redis.call('GET', KEYS[1])
if not kept or not string.find(kept, ARGV[1], 1, true) then return 0 end
if ARGV[2] == '' then redis.call('DEL', KEYS[1]) else redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3]) end
return 1
`;

/**
 * Answers a POST that is sent again under the same `Idempotency-Key` with what the first one was answered, streams
 * included. Responses from 500 on, and 409 and 429, are not kept: trying again may succeed.
 * @param runningSeconds after which a request that was never answered is taken to be lost
 */
export function idempotency(redis: Redis, runningSeconds: number): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction) => {
    const key = request.get(HEADER);
    if (request.method !== 'POST' || key === undefined) return next();
    try {
      if (!KEY.test(key)) {
        const found = `Invalid '${HEADER}': must be 1 to 255 visible ASCII characters.`;
        throw ApiError.invalid(found, HEADER, 'invalid_value');
      }
      const name = `longhaul:idempotency:{${clientKey(request)}}:${sha256(key)}`;
      const mine: Kept = { run: randomUUID(), fingerprint: fingerprint(request) };
      while ((await redis.set(name, JSON.stringify(mine), 'EX', runningSeconds, 'NX')) !== 'OK') {
        const known = await redis.get(name);
        // Missing where the first one failed just now: then one of those that wait is the first.
        if (known !== null) return repeat(JSON.parse(known) as Kept, mine, response);
      }
      keep(response, (kept) =>
        redis
          .eval(SETTLE, 1, name, mine.run, kept ? JSON.stringify({ ...mine, ...kept }) : '', KEPT_SECONDS)
          .catch(() => undefined),
      );
      next();
    } catch (error) {
      next(error);
    }
  };
}

/** @throws ApiError where the first request was another one, or is not answered yet */
function repeat(known: Kept, mine: Kept, response: Response): void {
  if (known.fingerprint !== mine.fingerprint) {
    const found = `This ${HEADER} was used with another request. Give every request a key of its own.`;
    throw new ApiError(422, 'invalid_request_error', found, HEADER, 'idempotency_key_reused');
  }
  if (known.status === undefined) {
    response.setHeader('x-should-retry', 'true');
    const found = `The request with this ${HEADER} is still being answered. Try again soon.`;
    throw new ApiError(409, 'invalid_request_error', found, HEADER, 'idempotency_key_in_use');
  }
  response.status(known.status);
  if (known.type) response.setHeader('content-type', known.type);
  response.setHeader('idempotent-replayed', 'true');
  response.end(known.body);
}

/** Calls back once, with what was sent, or with undefined where it is not to be kept. */
function keep(response: Response, done: (kept: Pick<Kept, 'status' | 'type' | 'body'> | undefined) => void): void {
  const chunks: Buffer[] = [];
  let bytes = 0;
  const gather = (chunk: unknown): void => {
    if (typeof chunk !== 'string' && !(chunk instanceof Uint8Array)) return;
    bytes += chunk.length;
    if (bytes <= MAX_BYTES) chunks.push(Buffer.from(chunk as string));
  };
  const { write, end } = response;
  response.write = ((...args: unknown[]) => {
    gather(args[0]);
    return Reflect.apply(write, response, args);
  }) as typeof write;
  response.end = ((...args: unknown[]) => {
    gather(args[0]);
    return Reflect.apply(end, response, args);
  }) as typeof end;
  response.once('close', () => {
    const status = response.statusCode;
    const passing = status >= 500 || status === 409 || status === 429 || bytes > MAX_BYTES;
    if (passing || !response.writableFinished) return done(undefined);
    const type = response.getHeader('content-type');
    done({ status, body: Buffer.concat(chunks).toString(), ...(typeof type === 'string' && { type }) });
  });
}

/** What makes two requests the same. A form's parts are not read yet, and its boundary is another one each time. */
function fingerprint(request: Request): string {
  const body: unknown = request.body;
  const content = body === undefined ? `${request.get('content-length') ?? ''} bytes` : JSON.stringify(body);
  return sha256(`${request.originalUrl}\n${content}`);
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex');
