import { join } from 'node:path';
import { ApiKeys } from '@app/api-keys';
import { BatchJobs, BatchStore, FileStore, RedisBatchStore, RedisFileStore } from '@app/batches';
import { Config } from '@app/config';
import {
  AnswerStreams,
  Cancellations,
  connectRedisForRequests,
  RedisResultStore,
  ResultStore,
  warnAboutRedisSettings,
} from '@app/results';
import { BlobStore, FileSystemBlobStore } from '@app/storage';
import { type DynamicModule, Global, Logger, Module, type OnApplicationShutdown } from '@nestjs/common';
import { Redis } from 'ioredis';
import { JobQueues } from './job-queues.js';
import { Shutdown } from './shutdown.js';

/** The configuration, one Redis connection for all requests, and the stores on top of it. */
@Global()
@Module({})
export class ConnectionsModule implements OnApplicationShutdown {
  constructor(
    private readonly redis: Redis,
    private readonly results: ResultStore,
    private readonly queues: JobQueues,
    private readonly jobs: BatchJobs,
    private readonly cancellations: Cancellations,
    private readonly streams: AnswerStreams,
  ) {}

  static with(config: Config): DynamicModule {
    const providers = [
      { provide: Config, useValue: config },
      { provide: Redis, useFactory: () => connect(config.redisUrl) },
      { provide: BlobStore, useFactory: () => openBlobStore(config) },
      { provide: ApiKeys, useFactory: (redis: Redis) => new ApiKeys(redis), inject: [Redis] },
      { provide: ResultStore, useFactory: (redis: Redis) => new RedisResultStore(redis), inject: [Redis] },
      { provide: AnswerStreams, useFactory: (redis: Redis) => new AnswerStreams(redis), inject: [Redis] },
      { provide: Cancellations, useFactory: (redis: Redis) => new Cancellations(redis), inject: [Redis] },
      { provide: FileStore, useFactory: (redis: Redis) => new RedisFileStore(redis), inject: [Redis] },
      {
        provide: BatchStore,
        useFactory: (redis: Redis) => new RedisBatchStore(redis, config.retentionDays * 24 * 3600),
        inject: [Redis],
      },
      { provide: BatchJobs, useFactory: (redis: Redis) => new BatchJobs(redis), inject: [Redis] },
      JobQueues,
      Shutdown,
    ];
    return { module: ConnectionsModule, providers, exports: providers };
  }

  /** After the last request has been answered. */
  async onApplicationShutdown(): Promise<void> {
    await Promise.allSettled([
      this.queues.close(),
      this.jobs.close(),
      this.cancellations.close(),
      this.streams.close(),
      (this.results as RedisResultStore).close(),
    ]);
    this.redis.disconnect();
  }
}

async function connect(url: string): Promise<Redis> {
  const redis = connectRedisForRequests(url);
  await redis.connect();
  await warnAboutRedisSettings(redis, new Logger('Redis'));
  return redis;
}

async function openBlobStore(config: Config): Promise<FileSystemBlobStore> {
  const blobs = new FileSystemBlobStore(join(config.dataDir, 'blobs'));
  const removed = await blobs.removeAbandonedWrites();
  if (removed > 0) new Logger('Storage').log(`Removed ${removed} uploads that were never finished`);
  return blobs;
}
