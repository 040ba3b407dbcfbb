import { join } from 'node:path';
import {
  BatchFinalizer,
  BatchJobs,
  BatchPlanner,
  BatchReconciler,
  BatchStore,
  FileStore,
  RedisBatchStore,
  RedisFileStore,
} from '@app/batches';
import { Config } from '@app/config';
import { type EnginePort, HeldDocuments } from '@app/inference';
import { AnswerStreams, Cancellations, connectRedis, RedisResultStore, ResultStore } from '@app/results';
import { BlobStore, FileSystemBlobStore } from '@app/storage';
import { EngineMetrics } from '@app/telemetry';
import { type DynamicModule, type FactoryProvider, Module } from '@nestjs/common';
import { Redis } from 'ioredis';
import { CompletionAnswerer } from './completion-answerer.js';
import { DocumentHolders } from './document-holders.js';
import { extractionLimits } from './document-limits.js';
import { Drain } from './drain.js';
import { ENGINE } from './engine.js';
import { FinalizingProcessor } from './finalizing.processor.js';
import { GroupProcessor } from './group.processor.js';
import { GroupAnswerer } from './group-answerer.js';
import { GroupConsumer } from './group-consumer.js';
import { PartCombiner } from './part-combiner.js';
import { PlanningProcessor } from './planning.processor.js';
import { type ModelPromptEncoder, PROMPT_ENCODER } from './prompt-encoder.js';
import { QueueConsumers } from './queue-consumers.js';
import { ReconcilerTimer } from './reconciler.timer.js';
import { WebhookProcessor } from './webhooks/webhook.processor.js';

const SECONDS_A_DAY = 24 * 3600;

const provide = (
  token: FactoryProvider['provide'],
  inject: NonNullable<FactoryProvider['inject']>,
  useFactory: FactoryProvider['useFactory'],
): FactoryProvider => ({
  provide: token,
  inject,
  useFactory,
});

/** The libraries know no Nest, so they are put together here. */
@Module({
  providers: [
    provide(Redis, [Config], ({ redisUrl }: Config) => connectRedis(redisUrl)),
    provide(BlobStore, [Config], ({ dataDir }: Config) => new FileSystemBlobStore(join(dataDir, 'blobs'))),
    provide(ResultStore, [Redis], (redis: Redis) => new RedisResultStore(redis)),
    provide(AnswerStreams, [Redis], (redis: Redis) => new AnswerStreams(redis)),
    provide(Cancellations, [Redis], (redis: Redis) => new Cancellations(redis)),
    provide(FileStore, [Redis], (redis: Redis) => new RedisFileStore(redis)),
    provide(
      BatchStore,
      [Redis, Config],
      (redis: Redis, { retentionDays }: Config) => new RedisBatchStore(redis, retentionDays * SECONDS_A_DAY),
    ),
    provide(BatchJobs, [Redis], (redis: Redis) => new BatchJobs(redis)),
    provide(
      BatchPlanner,
      [BatchStore, FileStore, ResultStore, BlobStore, BatchJobs, PROMPT_ENCODER, Config],
      (
        batches: BatchStore,
        files: FileStore,
        results: ResultStore,
        blobs: BlobStore,
        jobs: BatchJobs,
        encoder: ModelPromptEncoder,
        config: Config,
      ) =>
        new BatchPlanner(batches, files, results, blobs, jobs, encoder, {
          model: config.modelId,
          compression: config.compression,
          maxLineBytes: config.maxLineBytes,
          maxLines: config.maxBatchLines,
          maxAttempts: config.maxGroupAttempts,
          extraction: extractionLimits(config),
          endsLine: encoder.endsLine,
        }),
    ),
    provide(
      BatchFinalizer,
      [BatchStore, FileStore, ResultStore, BlobStore, BatchJobs, Config],
      (
        batches: BatchStore,
        files: FileStore,
        results: ResultStore,
        blobs: BlobStore,
        jobs: BatchJobs,
        { retentionDays }: Config,
      ) => new BatchFinalizer(batches, files, results, blobs, jobs, retentionDays * SECONDS_A_DAY),
    ),
    provide(
      BatchReconciler,
      [BatchStore, ResultStore, BlobStore, BatchJobs, Cancellations],
      (batches: BatchStore, results: ResultStore, blobs: BlobStore, jobs: BatchJobs, cancellations: Cancellations) =>
        new BatchReconciler(batches, results, blobs, jobs, cancellations),
    ),
    Drain,
    GroupAnswerer,
    PartCombiner,
    CompletionAnswerer,
    PlanningProcessor,
    GroupProcessor,
    DocumentHolders,
    GroupConsumer,
    FinalizingProcessor,
    WebhookProcessor,
    QueueConsumers,
    ReconcilerTimer,
  ],
})
class WorkerModule {}

/** Everything of a worker process, around the model that it opened before: Nest logs what a provider throws with its stack. */
export const workerWith = (
  config: Config,
  encoder: ModelPromptEncoder,
  engine: EnginePort,
  documents: HeldDocuments,
  metrics: EngineMetrics,
): DynamicModule => ({
  module: WorkerModule,
  providers: [
    { provide: Config, useValue: config },
    { provide: PROMPT_ENCODER, useValue: encoder },
    { provide: ENGINE, useValue: engine },
    { provide: HeldDocuments, useValue: documents },
    { provide: EngineMetrics, useValue: metrics },
  ],
});
