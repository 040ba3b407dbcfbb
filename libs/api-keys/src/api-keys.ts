import { createHash, randomBytes } from 'node:crypto';
import type { Redis } from 'ioredis';

/** What is known of a key; never the key itself. Times are Unix seconds. */
export interface ApiKey {
  readonly id: string;
  /** Whoever created it says what it is for; several may be called the same. */
  readonly name: string;
  readonly created_at: number;
  /** At most a minute too early; null: never used. */
  readonly last_used_at: number | null;
}

/** A key as it is told once. */
export interface CreatedApiKey extends ApiKey {
  readonly key: string;
}

/** Most characters of a key's name. */
export const NAME_LENGTH = 64;

/** Nobody guesses so many random bytes, so that a plain SHA-256 is enough to keep them by. */
const KEY_BYTES = 32;
/** A key that is used all the time is written once in so many seconds. */
const USE_SECONDS = 60;

/** One hash tag: the scripts touch several. */
const keys = {
  /** Hash: SHA-256 of a key -> id, name and created_at as JSON. */
  records: 'longhaul:{api-keys}:records',
  /** Hash: SHA-256 of a key -> Unix seconds. */
  used: 'longhaul:{api-keys}:used',
  /** String: there from the first key on, also when all are revoked. */
  made: 'longhaul:{api-keys}:made',
};

/** KEYS: records, made. ARGV: SHA-256 of a key, its record. */
const CREATE = `
redis.call('SET', KEYS[2], 1)
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
`;

/**
 * KEYS: records, used, made. ARGV: SHA-256 of a key, now, seconds between two notes of its use. Returns {1 if a key was ever
 * made, 1 if it is one}. A Redis that takes no writes (out of memory, a replica) still tells who may come in.
 */
const CHECK = `
local any = math.min(redis.call('EXISTS', KEYS[1], KEYS[3]), 1)
local known = redis.call('HEXISTS', KEYS[1], ARGV[1])
if known == 1 then
  local used = tonumber(redis.call('HGET', KEYS[2], ARGV[1]) or 0)
  if ARGV[2] - used >= tonumber(ARGV[3]) then redis.pcall('HSET', KEYS[2], ARGV[1], ARGV[2]) end
end
return {any, known}
`;

/**
 * The keys that the API takes, in Redis by their SHA-256 alone: neither Redis nor a copy of it tells a key, and how long
 * a look takes tells nothing of one. Created and revoked keys count from the next request on.
 */
export class ApiKeys {
  constructor(
    private readonly redis: Redis,
    private readonly now: () => number = () => Math.floor(Date.now() / 1000),
  ) {}

  async create(name: string): Promise<CreatedApiKey> {
    const key = `lh-${randomBytes(KEY_BYTES).toString('base64url')}`;
    const hash = sha256(key);
    const record = { id: idOf(hash), name, created_at: this.now() };
    await this.redis.eval(CREATE, 2, keys.records, keys.made, hash, JSON.stringify(record));
    return { ...record, last_used_at: null, key };
  }

  /** Oldest first. */
  async list(): Promise<ApiKey[]> {
    const [records, used] = await Promise.all([this.redis.hgetall(keys.records), this.redis.hgetall(keys.used)]);
    return Object.entries(records)
      .map(([hash, json]) => ({
        ...(JSON.parse(json) as Omit<ApiKey, 'last_used_at'>),
        last_used_at: used[hash] === undefined ? null : Number(used[hash]),
      }))
      .sort((a, b) => a.created_at - b.created_at || (a.id < b.id ? -1 : 1));
  }

  /** Returns false where there is none with this id. */
  async revoke(id: string): Promise<boolean> {
    const hash = (await this.redis.hkeys(keys.records)).find((one) => idOf(one) === id);
    if (hash === undefined) return false;
    await this.redis.multi().hdel(keys.records, hash).hdel(keys.used, hash).exec();
    return true;
  }

  async count(): Promise<number> {
    return this.redis.hlen(keys.records);
  }

  /** Forgets every key, and that there ever was one. */
  async reset(): Promise<void> {
    await this.redis.del(keys.records, keys.used, keys.made);
  }

  /**
   * Whether there was ever a key, revoked ones included, and whether `key` is one of those there are; if so, notes that it
   * is used.
   */
  async check(key: string | undefined): Promise<{ readonly any: boolean; readonly valid: boolean }> {
    const hash = key === undefined ? '' : sha256(key);
    const [any, known] = (await this.redis.eval(
      CHECK,
      3,
      keys.records,
      keys.used,
      keys.made,
      hash,
      this.now(),
      USE_SECONDS,
    )) as [0 | 1, 0 | 1];
    return { any: any === 1, valid: known === 1 };
  }
}

const sha256 = (key: string): string => createHash('sha256').update(key).digest('hex');

/** A key is named by the beginning of its hash, which tells nothing of it. */
const idOf = (hash: string): string => `key_${hash.slice(0, 24)}`;
