import { Logger } from '@nestjs/common';
import { type JobsOptions, Queue } from 'bullmq';
import type { Redis } from 'ioredis';
import type { BatchRecord } from './batch-record.js';
import {
  BATCH_PRIORITY,
  type BatchGroupJob,
  FINALIZING_QUEUE,
  type FinalizingJob,
  groupQueue,
  PLANNING_QUEUE,
  type PlanningJob,
  QUEUE_PREFIX,
  WEBHOOK_QUEUE,
  type WebhookJob,
} from './queues.js';

/** Tries of a job that fails for a passing reason; the reconciler revives what has used them up. */
const RETRIED: JobsOptions = { attempts: 1000, backoff: { type: 'fixed', delay: 1000 }, stackTraceLimit: 5 };
/** Kept for a while, so that the reconciler sees that a group is done without reading its plan. */
const KEPT: JobsOptions = { removeOnComplete: { age: 24 * 3600, count: 10_000 } };
/** Three days, the pauses doubling from a second on, as OpenAI's. */
const TOLD: JobsOptions = {
  // The end is recorded right after.
  delay: 1000,
  attempts: 18,
  backoff: { type: 'exponential', delay: 1000 },
  removeOnComplete: { age: 7 * 24 * 3600, count: 10_000 },
};
/** Gone when done, so that it can be queued again under the same id. */
const REPEATABLE: JobsOptions = { removeOnComplete: true };

/** Queues the jobs of batches. Every job's id follows from what it does, so queueing twice is the same as once. */
export class BatchJobs {
  private readonly queues = new Map<string, Queue>();

  /** @param redis stays the caller's to close */
  constructor(private readonly redis: Redis) {}

  async plan(batchId: string): Promise<void> {
    const data: PlanningJob = { batchId };
    await this.ensure(PLANNING_QUEUE, batchId, data, REPEATABLE);
  }

  async finalize(batchId: string): Promise<void> {
    const data: FinalizingJob = { batchId };
    await this.ensure(FINALIZING_QUEUE, batchId, data, REPEATABLE);
  }

  /** Ends a batch early: a batch that is being planned only once its planner has let go of it. */
  async endEarly({ id, in_progress_at }: BatchRecord): Promise<void> {
    await (in_progress_at === undefined ? this.plan(id) : this.finalize(id));
  }

  /** Queued before the batch's end is recorded, so that no end goes untold; told once it is. */
  async tellEnd(batchId: string): Promise<void> {
    const data: WebhookJob = { batchId };
    await this.ensure(WEBHOOK_QUEUE, batchId, data, TOLD);
  }

  async answerGroup(model: string, batchId: string, group: number): Promise<void> {
    const data: BatchGroupJob = { kind: 'batch', batchId, planKey: groupPlanKey(batchId, group) };
    await this.ensure(groupQueue(model), groupJobId(batchId, group), data, { ...KEPT, priority: BATCH_PRIORITY });
  }

  /** Whether any group of the model is being answered or about to be, whichever batch it is of. */
  async hasGroups(model: string): Promise<boolean> {
    const counts = await this.queue(groupQueue(model)).getJobCounts('active', 'waiting', 'prioritized', 'delayed');
    return Object.values(counts).some((count) => count > 0);
  }

  async close(): Promise<void> {
    await Promise.all([...this.queues.values()].map((queue) => queue.close()));
  }

  private async ensure(name: string, jobId: string, data: object, options: JobsOptions): Promise<void> {
    const queue = this.queue(name);
    // BullMQ answers an add under a known id with the old job, even a failed one, and does nothing.
    const known = await queue.getJob(jobId);
    if (known && (await known.isFailed())) await known.retry('failed', { resetAttemptsMade: true });
    else await queue.add(name, data, { ...RETRIED, ...options, jobId });
  }

  private queue(name: string): Queue {
    let queue = this.queues.get(name);
    if (!queue) {
      queue = new Queue(name, { connection: this.redis, prefix: QUEUE_PREFIX });
      // Without a listener an outage of Redis would end the process; the connection logs it.
      queue.on('error', ({ message }) => new Logger('Queue').debug(`${name}: ${message}`));
      this.queues.set(name, queue);
    }
    return queue;
  }
}

/** Blob key of a group's plan. */
export const groupPlanKey = (batchId: string, group: number): string => `plans/${batchId}/${group}.json`;

const groupJobId = (batchId: string, group: number): string => `${batchId}-${group}`;
