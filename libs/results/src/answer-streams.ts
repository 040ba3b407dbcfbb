import type { Redis } from 'ioredis';
import { ProgressSubscriber } from './progress-subscriber.js';
import { piecesChannel, piecesKey } from './redis-keys.js';

/** Nobody waits longer for a chat completion. */
const KEPT_SECONDS = 3600;

/** What one choice of a chat completion has grown by. */
export interface StreamedPiece {
  readonly choice: number;
  /** Characters of the choice's text before this piece. A run that starts again begins at 0. */
  readonly at: number;
  readonly text: string;
  /** Entries of the choice's `logprobs.content` before this piece's. */
  readonly logprobsAt: number;
  readonly logprobs: readonly unknown[];
}

/**
 * Appends a piece and says so, in one step.
 * KEYS: pieces. ARGV: piece, seconds to keep it, channel.
 */
const APPEND = `
redis.call('XADD', KEYS[1], '*', 'piece', ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
redis.call('PUBLISH', ARGV[3], '')
`;

interface StreamScripts {
  appendPiece(key: string, piece: string, seconds: number, channel: string): Promise<null>;
}

/** Carries growing answers from the worker to the API in Redis streams. What ends an answer is its recorded result. */
export class AnswerStreams {
  private readonly redis: Redis & StreamScripts;
  private readonly subscriber: ProgressSubscriber;

  /** @param redis stays the caller's to close; subscriptions use a connection of their own made from it */
  constructor(redis: Redis) {
    redis.defineCommand('appendPiece', { numberOfKeys: 1, lua: APPEND });
    this.redis = redis as Redis & StreamScripts;
    this.subscriber = new ProgressSubscriber(redis);
  }

  async append(id: string, piece: StreamedPiece): Promise<void> {
    await this.redis.appendPiece(piecesKey(id), JSON.stringify(piece), KEPT_SECONDS, piecesChannel(id));
  }

  /** The pieces after the one called `after`, and the name of the last one; from the beginning where `after` is empty. */
  async read(id: string, after: string): Promise<{ pieces: StreamedPiece[]; last: string }> {
    const entries = await this.redis.xrange(piecesKey(id), after === '' ? '-' : `(${after}`, '+');
    const pieces = entries.map(([, fields]) => JSON.parse(fields[1] ?? 'null') as StreamedPiece);
    return { pieces, last: entries.at(-1)?.[0] ?? after };
  }

  /** Calls back whenever there are more pieces, until the returned function is called. */
  async subscribe(id: string, listener: () => void): Promise<() => Promise<void>> {
    return this.subscriber.subscribe(piecesChannel(id), listener);
  }

  async delete(id: string): Promise<void> {
    await this.redis.del(piecesKey(id));
  }

  /** Closes the connection that subscriptions use. */
  async close(): Promise<void> {
    await this.subscriber.close();
  }
}
