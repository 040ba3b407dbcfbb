import type { Redis } from 'ioredis';
import {
  FILE_PURPOSES,
  type FilePage,
  type FilePurpose,
  type FileQuery,
  type FileRecord,
  FileStore,
  type Withdrawal,
} from './file-record.js';

/** The hash tag keeps all keys on one node of a Redis Cluster, for the scripts that touch several. */
const keys = {
  /** String: the record as JSON. */
  record: (id: string) => `longhaul:{files}:record:${id}`,
  /** Set: batches that hold the file. */
  holders: (id: string) => `longhaul:{files}:holders:${id}`,
  /** Sorted set: id -> place in the order of creation. */
  order: 'longhaul:{files}:order',
  orderOf: (purpose: FilePurpose) => `longhaul:{files}:order:${purpose}`,
  /** Counter: the last place given. */
  places: 'longhaul:{files}:places',
  /** Sorted set: id -> Unix seconds. */
  expiry: 'longhaul:{files}:expiry',
  /** String: the place that a withdrawn file had, for who is in the middle of a listing. */
  placeOf: (id: string) => `longhaul:{files}:place:${id}`,
  /** Hash: id -> record as JSON, of files whose bytes may still be there. */
  withdrawn: 'longhaul:{files}:withdrawn',
};

/** KEYS: record, places, expiry, order, order of its purpose. ARGV: id, record, expires_at or empty. */
const CREATE = `
redis.call('SET', KEYS[1], ARGV[2])
local place = redis.call('ZSCORE', KEYS[4], ARGV[1]) or redis.call('INCR', KEYS[2])
redis.call('ZADD', KEYS[4], place, ARGV[1])
redis.call('ZADD', KEYS[5], place, ARGV[1])
if ARGV[3] ~= '' then redis.call('ZADD', KEYS[3], ARGV[3], ARGV[1]) end
`;

/** KEYS: record, holders. ARGV: batch id. */
const HOLD = `
local record = redis.call('GET', KEYS[1])
if record then redis.call('SADD', KEYS[2], ARGV[1]) end
return record
`;

/** How long a listing may go on after the file that ended its last page is deleted. */
const PLACE_SECONDS = 24 * 3600;

/**
 * KEYS: record, holders, withdrawn, place, order, then every other sorted set of ids. ARGV: id, seconds to keep its place.
 * Returns the record and its holders.
 */
const WITHDRAW = `
local record = redis.call('GET', KEYS[1])
if not record then return {} end
local holders = redis.call('SMEMBERS', KEYS[2])
if #holders == 0 then
  redis.call('DEL', KEYS[1])
  redis.call('SET', KEYS[4], redis.call('ZSCORE', KEYS[5], ARGV[1]), 'EX', ARGV[2])
  for i = 5, #KEYS do redis.call('ZREM', KEYS[i], ARGV[1]) end
  redis.call('HSET', KEYS[3], ARGV[1], record)
end
return {record, holders}
`;

interface FileScripts {
  createFile(...args: (string | number)[]): Promise<null>;
  holdFile(record: string, holders: string, batchId: string): Promise<string | null>;
  withdrawFile(...args: (string | number)[]): Promise<[] | [record: string, holders: string[]]>;
}

/** File records in Redis. */
export class RedisFileStore extends FileStore {
  private readonly redis: Redis & FileScripts;

  constructor(redis: Redis) {
    super();
    redis.defineCommand('createFile', { numberOfKeys: 5, lua: CREATE });
    redis.defineCommand('holdFile', { numberOfKeys: 2, lua: HOLD });
    redis.defineCommand('withdrawFile', { numberOfKeys: 6 + FILE_PURPOSES.length, lua: WITHDRAW });
    this.redis = redis as Redis & FileScripts;
  }

  override async create(record: FileRecord): Promise<void> {
    const { id, purpose, expires_at: expiresAt } = record;
    await this.redis.createFile(
      keys.record(id),
      keys.places,
      keys.expiry,
      keys.order,
      keys.orderOf(purpose),
      id,
      JSON.stringify(record),
      expiresAt ?? '',
    );
  }

  override async get(id: string): Promise<FileRecord | undefined> {
    return parsed(await this.redis.get(keys.record(id)));
  }

  override async hold(id: string, batchId: string): Promise<FileRecord | undefined> {
    return parsed(await this.redis.holdFile(keys.record(id), keys.holders(id), batchId));
  }

  override async release(id: string, batchIds: readonly string[]): Promise<void> {
    if (batchIds.length > 0) await this.redis.srem(keys.holders(id), ...batchIds);
  }

  override async list({ limit, order, after, purpose }: FileQuery): Promise<FilePage | undefined> {
    const place = after === undefined ? undefined : await this.placeOf(after);
    if (place === null) return undefined;
    const set = purpose === undefined ? keys.order : keys.orderOf(purpose);
    const from = place === undefined ? undefined : `(${place}`;
    // One more than asked tells whether there are more.
    const ids =
      order === 'asc'
        ? await this.redis.zrangebyscore(set, from ?? '-inf', '+inf', 'LIMIT', 0, limit + 1)
        : await this.redis.zrevrangebyscore(set, from ?? '+inf', '-inf', 'LIMIT', 0, limit + 1);
    const wanted = ids.slice(0, limit);
    const records = wanted.length > 0 ? await this.redis.mget(wanted.map(keys.record)) : [];
    // One that was withdrawn in between has no record.
    return { files: records.flatMap((json) => parsed(json) ?? []), hasMore: ids.length > limit };
  }

  /** Also that of a file that was deleted not long ago. */
  private async placeOf(id: string): Promise<string | null> {
    return (await this.redis.zscore(keys.order, id)) ?? (await this.redis.get(keys.placeOf(id)));
  }

  override async withdraw(id: string): Promise<Withdrawal | undefined> {
    const sets = [keys.placeOf(id), keys.order, keys.expiry, ...FILE_PURPOSES.map(keys.orderOf)];
    const [json, heldBy = []] = await this.redis.withdrawFile(
      keys.record(id),
      keys.holders(id),
      keys.withdrawn,
      ...sets,
      id,
      PLACE_SECONDS,
    );
    return json === undefined ? undefined : { file: JSON.parse(json) as FileRecord, heldBy };
  }

  override async withdrawn(): Promise<FileRecord[]> {
    return (await this.redis.hvals(keys.withdrawn)).flatMap((json) => parsed(json) ?? []);
  }

  override async forget(id: string): Promise<void> {
    await this.redis.hdel(keys.withdrawn, id);
  }

  override async expired(unixSeconds: number): Promise<string[]> {
    return this.redis.zrangebyscore(keys.expiry, '-inf', unixSeconds);
  }
}

const parsed = (json: string | null): FileRecord | undefined =>
  json === null ? undefined : (JSON.parse(json) as FileRecord);
