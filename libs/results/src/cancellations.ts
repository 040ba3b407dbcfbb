import type { Redis } from 'ioredis';
import { ProgressSubscriber } from './progress-subscriber.js';
import { cancelChannel, cancelKey } from './redis-keys.js';

/** How often a watch looks for itself, in case the message was published while Redis was away. */
const LOOK_EVERY_MS = 2000;
/** Longer than anything waits in a queue. */
const KEPT_SECONDS = 7 * 24 * 3600;

/** Until `stop` is called. */
export interface CancellationWatch {
  /** Aborted when the work was cancelled, before the watch began or since. */
  readonly signal: AbortSignal;
  stop(): Promise<void>;
}

/** Tells whoever works on a batch or a chat completion, in any process, that nobody wants its answers any more. */
export class Cancellations {
  private readonly subscriber: ProgressSubscriber;

  /** @param redis stays the caller's to close; watches use a connection of their own made from it */
  constructor(private readonly redis: Redis) {
    this.subscriber = new ProgressSubscriber(redis);
  }

  /** Idempotent. Those who begin to watch later hear of it too. */
  async cancel(id: string): Promise<void> {
    const replies = await this.redis
      .multi()
      .set(cancelKey(id), 1, 'EX', KEPT_SECONDS)
      .publish(cancelChannel(id), '')
      .exec();
    for (const [error] of replies ?? []) if (error) throw error;
  }

  async watch(id: string): Promise<CancellationWatch> {
    const abort = new AbortController();
    // Subscribed before the look: what is cancelled in between is heard twice and not missed.
    const unsubscribe = await this.subscriber.subscribe(cancelChannel(id), () => abort.abort());
    const look = async (): Promise<void> => {
      if ((await this.redis.exists(cancelKey(id))) === 1) abort.abort();
    };
    await look().catch(async (error: unknown) => {
      await unsubscribe();
      throw error;
    });
    const timer = setInterval(() => void look().catch(() => undefined), LOOK_EVERY_MS);
    return {
      signal: abort.signal,
      stop: async () => {
        clearInterval(timer);
        await unsubscribe();
      },
    };
  }

  /** Closes the connection that watches use. */
  async close(): Promise<void> {
    await this.subscriber.close();
  }
}
