import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  BatchFinalizer,
  BatchJobs,
  BatchPlanner,
  BatchReconciler,
  type BatchRecord,
  type FilePurpose,
  fileBlobKey,
  type GroupPlan,
  groupPlanKey,
  groupQueue,
  newBatchId,
  newFileId,
  type PlannerOptions,
  type PromptEncoder,
  QUEUE_PREFIX,
  RedisBatchStore,
  RedisFileStore,
  type TextEncoder,
} from '@app/batches';
import { type GgufModel, TokenEnds } from '@app/gguf-model';
import { Cancellations, RedisResultStore } from '@app/results';
import { FileSystemBlobStore } from '@app/storage';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { type RedisServer, startRedis } from './redis-server.js';

/** How long what has ended stays. */
const RETENTION_SECONDS = 1000;

/** What batches are kept in, as the API and workers have it, over a Redis and a folder of its own. */
export class BatchStores {
  readonly blobs: FileSystemBlobStore;
  readonly batches: RedisBatchStore;
  readonly files: RedisFileStore;
  readonly results: RedisResultStore;
  readonly cancellations: Cancellations;
  readonly jobs: BatchJobs;

  private constructor(
    private readonly server: RedisServer,
    readonly redis: Redis,
    readonly folder: string,
  ) {
    this.blobs = new FileSystemBlobStore(join(folder, 'blobs'));
    this.batches = new RedisBatchStore(redis, RETENTION_SECONDS);
    this.files = new RedisFileStore(redis);
    this.results = new RedisResultStore(redis);
    this.cancellations = new Cancellations(redis);
    this.jobs = new BatchJobs(redis);
  }

  static async open(): Promise<BatchStores> {
    const server = await startRedis();
    const redis = new Redis(server.url, { maxRetriesPerRequest: null });
    return new BatchStores(server, redis, await mkdtemp(join(tmpdir(), 'longhaul-batches-')));
  }

  async close(): Promise<void> {
    await this.jobs.close();
    await this.results.close();
    await this.cancellations.close();
    this.redis.disconnect();
    await this.server.stop();
    await rm(this.folder, { recursive: true, force: true });
  }

  planner(encoder: PromptEncoder & TextEncoder, options: PlannerOptions, batches = this.batches): BatchPlanner {
    return new BatchPlanner(batches, this.files, this.results, this.blobs, this.jobs, encoder, options);
  }

  reconciler(): BatchReconciler {
    return new BatchReconciler(this.batches, this.results, this.blobs, this.jobs, this.cancellations);
  }

  finalizer(): BatchFinalizer {
    return new BatchFinalizer(this.batches, this.files, this.results, this.blobs, this.jobs, RETENTION_SECONDS);
  }

  /** Stores a file. */
  async fileOf(content: string | Buffer, purpose: FilePurpose = 'user_data'): Promise<string> {
    const id = newFileId();
    const blobKey = fileBlobKey(id);
    const { bytes, sha256 } = await this.blobs.put(blobKey, content);
    await this.files.create({ id, filename: 'f', purpose, bytes, created_at: 1, blobKey, sha256 });
    return id;
  }

  /** Creates a batch of these lines, or of this file. */
  async batchOf(lines: readonly object[] | string, change: Partial<BatchRecord> = {}): Promise<BatchRecord> {
    const content = typeof lines === 'string' ? lines : lines.map((line) => JSON.stringify(line)).join('\n');
    const batch: BatchRecord = {
      id: newBatchId(),
      endpoint: '/v1/chat/completions',
      input_file_id: await this.fileOf(content, 'batch'),
      completion_window: '24h',
      status: 'validating',
      created_at: 1,
      ...change,
    };
    await this.batches.create(batch);
    return batch;
  }

  /** The plans of a batch's groups. */
  async plansOf(batchId: string): Promise<GroupPlan[]> {
    const plans: GroupPlan[] = [];
    for (let group = 0; (await this.blobs.size(groupPlanKey(batchId, group))) !== undefined; group++) {
      plans.push(JSON.parse((await this.blobs.read(groupPlanKey(batchId, group))).toString()));
    }
    return plans;
  }

  queue(name: string): Queue {
    return new Queue(name, { connection: this.redis, prefix: QUEUE_PREFIX });
  }

  /** Ids of the jobs of groups that wait. */
  async groupJobs(model: string): Promise<string[]> {
    const groups = this.queue(groupQueue(model));
    const found = await groups.getJobs(['prioritized', 'waiting', 'delayed']);
    await groups.close();
    return found.map(({ id }) => id ?? '').sort();
  }

  /** The lines of a batch's output or error file. */
  async linesOf(fileId: string): Promise<unknown[]> {
    const text = (await this.blobs.read(fileBlobKey(fileId))).toString();
    return text
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
  }
}

/** A model's template and tokenizer in the calling thread. */
export function encoderOf(model: GgufModel): PromptEncoder & TextEncoder {
  const ends = new TokenEnds(model.tokenizer);
  return {
    vocabularySize: model.tokenizer.vocabularySize,
    contextLength: model.hyperparameters.contextLength,
    encode: async (messages) => Int32Array.from(model.chatTemplate.encodeChat(messages, { addGenerationPrompt: true })),
    encodeText: async (text) => Int32Array.from(model.tokenizer.encode(text)),
    tokenEnds: async (text) => ends.of(text),
  };
}

/** A line of a batch file that asks one thing of a chat. */
export const chatLine = (model: string, customId: string, content: unknown, change: object = {}): object => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: { model, messages: [{ role: 'user', content }], max_tokens: 10, ...change },
});
