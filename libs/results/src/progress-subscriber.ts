import type { Redis } from 'ioredis';

/** Many listeners on one Redis connection of its own: a connection that is subscribed does nothing else. */
export class ProgressSubscriber {
  private connection: Promise<Redis> | undefined;
  private readonly listeners = new Map<string, Set<(message: string) => void>>();

  constructor(private readonly source: Redis) {}

  /** Calls `listener` for every message on `channel`, from the moment the promise resolves until the result is called. */
  async subscribe(channel: string, listener: (message: string) => void): Promise<() => Promise<void>> {
    const redis = await this.connected();
    const listeners = this.listeners.get(channel) ?? new Set();
    this.listeners.set(channel, listeners.add(listener));
    const unsubscribe = async (): Promise<void> => {
      if (!listeners.delete(listener) || listeners.size > 0) return;
      this.listeners.delete(channel);
      // A connection that is down has nothing to unsubscribe: it comes back with the channels that are still listed.
      await redis.unsubscribe(channel).catch(() => undefined);
    };
    try {
      // Also for a second listener: the promise must not resolve before Redis has confirmed the channel.
      await redis.subscribe(channel);
    } catch (error) {
      await unsubscribe();
      throw error;
    }
    return unsubscribe;
  }

  async close(): Promise<void> {
    const redis = await this.connection?.catch(() => undefined);
    this.connection = undefined;
    this.listeners.clear();
    redis?.disconnect();
  }

  private connected(): Promise<Redis> {
    this.connection ??= this.connect().catch((error: unknown) => {
      this.connection = undefined;
      throw error;
    });
    return this.connection;
  }

  private async connect(): Promise<Redis> {
    // ioredis subscribes again by itself only as long as nothing goes wrong on the way back.
    const redis = this.source.duplicate({ lazyConnect: true, autoResubscribe: false });
    // Losing the connection is reported by the one it was made from.
    redis.on('error', () => undefined);
    redis.on('ready', () => {
      const channels = [...this.listeners.keys()];
      if (channels.length > 0) redis.subscribe(...channels).catch(() => redis.disconnect(true));
    });
    redis.on('message', (channel: string, message: string) => {
      for (const listener of this.listeners.get(channel) ?? []) listener(message);
    });
    try {
      await redis.connect();
    } catch (error) {
      redis.disconnect();
      throw error;
    }
    return redis;
  }
}
