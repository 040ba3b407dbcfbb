import type { Redis } from 'ioredis';
import { type ItemResult, isSuccess, type TokenUsage, usageOf } from './item-result.js';
import { ProgressSubscriber } from './progress-subscriber.js';
import { progressChannel, resultKeys } from './redis-keys.js';
import { type ResultScripts, withResultScripts } from './redis-scripts.js';
import { type ProgressEvent, type Recorded, type ResultCounts, ResultStore } from './result-store.js';

/** Items fetched in one round trip by `all`: a few hundred KB of usual answers. */
const SLICE = 128;

/** Gathers results in Redis hashes; `redis-keys.ts` says under which keys. */
export class RedisResultStore extends ResultStore {
  private readonly redis: Redis & ResultScripts;
  private readonly subscriber: ProgressSubscriber;

  /** @param redis stays the caller's to close; subscriptions use a connection of their own made from it */
  constructor(redis: Redis) {
    super();
    this.redis = withResultScripts(redis);
    this.subscriber = new ProgressSubscriber(redis);
  }

  override async expect(batchId: string, total: number): Promise<void> {
    await this.redis.hset(resultKeys(batchId).counts, 'total', total);
  }

  override async record(batchId: string, index: number, result: ItemResult): Promise<Recorded> {
    const keys = resultKeys(batchId);
    const ok = isSuccess(result);
    const { input, cached, output } = usageOf(result);
    const event: Omit<ProgressEvent, 'counts'> = { batchId, index, customId: result.custom_id, ok };
    const [first, total, completed, failed] = await this.redis.recordItem(
      keys.items,
      keys.counts,
      index,
      JSON.stringify(result),
      ok ? 'completed' : 'failed',
      progressChannel(batchId),
      // The script knows the counts, so it writes the end of the object.
      JSON.stringify(event).slice(0, -1),
      input,
      cached,
      output,
    );
    return { first: first === 1, counts: { total, completed, failed } };
  }

  override async recorded(batchId: string, indices: readonly number[]): Promise<Set<number>> {
    if (indices.length === 0) return new Set();
    const pipeline = this.redis.pipeline();
    for (const index of indices) pipeline.hexists(resultKeys(batchId).items, String(index));
    const replies = (await pipeline.exec()) ?? [];
    const found = new Set<number>();
    for (const [i, [error, exists]] of replies.entries()) {
      if (error) throw error;
      if (exists === 1) found.add(indices[i]!);
    }
    return found;
  }

  override async counts(batchId: string): Promise<ResultCounts> {
    const found = await this.redis.hmget(resultKeys(batchId).counts, 'total', 'completed', 'failed');
    return { total: Number(found[0] ?? 0), completed: Number(found[1] ?? 0), failed: Number(found[2] ?? 0) };
  }

  override async usage(batchId: string): Promise<TokenUsage> {
    const names = ['input_tokens', 'cached_tokens', 'output_tokens'];
    const [input, cached, output] = await this.redis.hmget(resultKeys(batchId).counts, ...names);
    return { input: Number(input ?? 0), cached: Number(cached ?? 0), output: Number(output ?? 0) };
  }

  override async get(batchId: string, index: number): Promise<ItemResult | undefined> {
    const json = await this.redis.hget(resultKeys(batchId).items, String(index));
    return json == null ? undefined : (JSON.parse(json) as ItemResult);
  }

  override async *all(batchId: string): AsyncGenerator<{ index: number; result: ItemResult }> {
    const { total } = await this.counts(batchId);
    for (let start = 0; start < total; start += SLICE) {
      const indices = Array.from({ length: Math.min(SLICE, total - start) }, (_, i) => start + i);
      const slice = await this.redis.hmget(resultKeys(batchId).items, ...indices.map(String));
      for (const [i, json] of slice.entries()) {
        if (json != null) yield { index: start + i, result: JSON.parse(json) as ItemResult };
      }
    }
  }

  override async beginAttempt(batchId: string, group: string): Promise<number> {
    return this.redis.hincrby(resultKeys(batchId).attempts, group, 1);
  }

  override async subscribe(batchId: string, listener: (event: ProgressEvent) => void): Promise<() => Promise<void>> {
    return this.subscriber.subscribe(progressChannel(batchId), (message) =>
      listener(JSON.parse(message) as ProgressEvent),
    );
  }

  override async expire(batchId: string, seconds: number): Promise<void> {
    const keys = resultKeys(batchId);
    const at = Math.ceil(Date.now() / 1000) + seconds;
    await this.redis.expireResults(keys.items, keys.counts, keys.attempts, at);
  }

  /** Closes the connection that subscriptions use. */
  async close(): Promise<void> {
    await this.subscriber.close();
  }
}
