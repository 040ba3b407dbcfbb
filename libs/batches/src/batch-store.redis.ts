import type { Redis } from 'ioredis';
import {
  type BatchPage,
  type BatchQuery,
  type BatchRecord,
  type BatchStatus,
  BatchStore,
  ENDED_STATUSES,
} from './batch-record.js';

/** One hash tag for all: a record and the sets of ids change together, so they share a cluster slot. */
const recordKey = (id: string): string => `longhaul:{batches}:record:${id}`;
/** Set: ids of batches that have not ended. */
const UNFINISHED_KEY = 'longhaul:{batches}:unfinished';
/** Sorted set: id -> place in the order of creation; of batches that expired too, until a listing finds them gone. */
const ORDER_KEY = 'longhaul:{batches}:order';
/** String: the place of a batch that expired, for who is in the middle of a listing. */
const placeKey = (id: string): string => `longhaul:{batches}:place:${id}`;
const PLACE_SECONDS = 24 * 3600;
/** Counter: the last place given. */
const PLACES_KEY = 'longhaul:{batches}:places';

/**
 * Changes a record while its status is one of those allowed. A record is a hash of JSON values, so that the script
 * never has to parse JSON (Redis' cjson turns [] into {}).
 * KEYS: record, unfinished. ARGV: id, seconds to keep it when it ends, 1 if it ends, number of allowed statuses, those,
 * then field, value ... with an empty value for a field to remove. Returns 1 if it changed.
 */
const TRANSITION = `
local status = redis.call('HGET', KEYS[1], 'status')
if not status then return 0 end
local allowed = false
local count = tonumber(ARGV[4])
for i = 5, 4 + count do if ARGV[i] == status then allowed = true end end
if not allowed then return 0 end
for i = 5 + count, #ARGV, 2 do
  if ARGV[i + 1] == '' then redis.call('HDEL', KEYS[1], ARGV[i])
  else redis.call('HSET', KEYS[1], ARGV[i], ARGV[i + 1]) end
end
if ARGV[3] == '1' then
  redis.call('SREM', KEYS[2], ARGV[1])
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return 1
`;

interface BatchScripts {
  transitionBatch(record: string, unfinished: string, ...args: (string | number)[]): Promise<0 | 1>;
}

/** Batch records in Redis; a batch that ended expires after the retention time. */
export class RedisBatchStore extends BatchStore {
  private readonly redis: Redis & BatchScripts;

  constructor(
    redis: Redis,
    private readonly retentionSeconds: number,
  ) {
    super();
    redis.defineCommand('transitionBatch', { numberOfKeys: 2, lua: TRANSITION });
    this.redis = redis as Redis & BatchScripts;
  }

  override async create(record: BatchRecord): Promise<void> {
    const place = await this.redis.incr(PLACES_KEY);
    const replies = await this.redis
      .multi()
      .hset(recordKey(record.id), Object.fromEntries(toFields(record)))
      .sadd(UNFINISHED_KEY, record.id)
      .zadd(ORDER_KEY, place, record.id)
      .exec();
    for (const [error] of replies ?? []) if (error) throw error;
  }

  override async get(id: string): Promise<BatchRecord | undefined> {
    const fields = Object.entries(await this.redis.hgetall(recordKey(id)));
    if (fields.length === 0) return undefined;
    return Object.fromEntries(fields.map(([name, json]) => [name, JSON.parse(json)])) as unknown as BatchRecord;
  }

  override async list({ limit, after }: BatchQuery): Promise<BatchPage | undefined> {
    const place = after === undefined ? '+inf' : await this.placeOf(after);
    if (place === null) return undefined;
    const batches: BatchRecord[] = [];
    // One more than asked tells whether there are more.
    for (let from = after === undefined ? place : `(${place}`; batches.length <= limit; ) {
      const missing = limit + 1 - batches.length;
      const next = await this.redis.zrevrangebyscore(ORDER_KEY, from, '-inf', 'WITHSCORES', 'LIMIT', 0, missing);
      if (next.length === 0) break;
      const ids = next.filter((_, i) => i % 2 === 0);
      const records = await Promise.all(ids.map((id) => this.get(id)));
      for (const [i, id] of ids.entries()) if (!records[i]) await this.forget(id, next[2 * i + 1]!);
      batches.push(...records.filter((record) => record !== undefined));
      from = `(${next.at(-1)}`;
    }
    return { batches: batches.slice(0, limit), hasMore: batches.length > limit };
  }

  private async placeOf(id: string): Promise<string | null> {
    return (await this.redis.zscore(ORDER_KEY, id)) ?? (await this.redis.get(placeKey(id)));
  }

  private async forget(id: string, place: string): Promise<void> {
    await this.redis.set(placeKey(id), place, 'EX', PLACE_SECONDS);
    await this.redis.zrem(ORDER_KEY, id);
  }

  override async transition(id: string, from: readonly BatchStatus[], change: Partial<BatchRecord>): Promise<boolean> {
    const ends = change.status !== undefined && ENDED_STATUSES.includes(change.status);
    const changed = await this.redis.transitionBatch(
      recordKey(id),
      UNFINISHED_KEY,
      id,
      this.retentionSeconds,
      ends ? 1 : 0,
      from.length,
      ...from.map((status) => JSON.stringify(status)),
      ...toFields(change).flat(),
    );
    return changed === 1;
  }

  override async unfinished(): Promise<string[]> {
    return this.redis.smembers(UNFINISHED_KEY);
  }
}

/** Field and JSON value; an empty string where the value is undefined. */
const toFields = (record: Partial<BatchRecord>): [string, string][] =>
  Object.entries(record).map(([name, value]) => [name, value === undefined ? '' : JSON.stringify(value)]);
