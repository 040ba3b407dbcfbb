import type { Redis } from 'ioredis';
import { type FileRecord, FileStore } from './file-record.js';

const recordKey = (id: string): string => `longhaul:file:${id}`;

/** File records in Redis, one JSON string each. */
export class RedisFileStore extends FileStore {
  constructor(private readonly redis: Redis) {
    super();
  }

  override async create(record: FileRecord): Promise<void> {
    await this.redis.set(recordKey(record.id), JSON.stringify(record));
  }

  override async get(id: string): Promise<FileRecord | undefined> {
    const json = await this.redis.get(recordKey(id));
    return json === null ? undefined : (JSON.parse(json) as FileRecord);
  }
}
