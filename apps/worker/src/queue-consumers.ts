import { FINALIZING_QUEUE, groupQueue, PLANNING_QUEUE, QUEUE_PREFIX } from '@app/batches';
import { Config } from '@app/config';
import { EngineAbortedError, EngineCrashedError } from '@app/inference';
import { Injectable, Logger } from '@nestjs/common';
import { type Job, WaitingError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { HandBackError } from './drain.js';
import { FinalizingProcessor } from './finalizing.processor.js';
import { GroupProcessor } from './group.processor.js';
import { PlanningProcessor } from './planning.processor.js';

/** BullMQ's own bound would fail a job whose workers were killed; ours is LONGHAUL_MAX_GROUP_ATTEMPTS. */
const MAX_STALLED_COUNT = 1_000_000;
/** Jobs that failed stay for a week, for whoever asks why. */
const REMOVE_ON_FAIL = { age: 7 * 24 * 3600, count: 10_000 };

/** Takes jobs from the queues: as many document groups at once as configured, everything else one at a time. */
@Injectable()
export class QueueConsumers {
  private readonly logger = new Logger(QueueConsumers.name);
  private readonly workers: Worker[] = [];

  constructor(
    private readonly config: Config,
    private readonly redis: Redis,
    private readonly planning: PlanningProcessor,
    private readonly groups: GroupProcessor,
    private readonly finalizing: FinalizingProcessor,
  ) {}

  /** @param onCrash called when the engine is gone, once its job is back in the queue */
  start(onCrash: (error: EngineCrashedError) => void): void {
    const queues = [
      { queue: PLANNING_QUEUE, processor: this.planning, concurrency: 1 },
      { queue: groupQueue(this.config.modelId), processor: this.groups, concurrency: this.config.maxGroups },
      { queue: FINALIZING_QUEUE, processor: this.finalizing, concurrency: 1 },
    ];
    for (const { queue, processor, concurrency } of queues) {
      const worker = new Worker(queue, (job, token) => this.run(processor, job, token, onCrash), {
        connection: this.redis,
        prefix: QUEUE_PREFIX,
        concurrency,
        lockDuration: this.config.lockSeconds * 1000,
        stalledInterval: this.config.lockSeconds * 1000,
        maxStalledCount: MAX_STALLED_COUNT,
        removeOnFail: REMOVE_ON_FAIL,
      });
      // Without a listener an error of the connection would end the process; outages are logged by the connection itself.
      worker.on('error', ({ message }) => this.logger.debug(`${queue}: ${message}`));
      worker.on('failed', (job, { message }) => this.logger.warn(`${queue} ${job?.id ?? ''}: ${message}`));
      worker.on('stalled', (id) => this.logger.warn(`${queue} ${id}: its worker was lost; back in the queue`));
      this.workers.push(worker);
    }
  }

  /** Takes nothing more and waits until what runs has ended or gone back. */
  async stop(): Promise<void> {
    await Promise.all(this.workers.map((worker) => worker.close()));
  }

  private async run(
    processor: { process(job: Job): Promise<void> },
    job: Job,
    token: string | undefined,
    onCrash: (error: EngineCrashedError) => void,
  ): Promise<void> {
    try {
      await processor.process(job);
    } catch (error) {
      const crashed = error instanceof EngineCrashedError;
      if (!crashed && !(error instanceof HandBackError) && !(error instanceof EngineAbortedError)) throw error;
      // At once and not after the lock has run out; it costs none of the job's tries.
      await job.moveToWait(token);
      this.logger.log(`handed back ${job.queueName} ${job.id ?? ''}`);
      if (crashed) onCrash(error);
      throw new WaitingError();
    }
  }
}
