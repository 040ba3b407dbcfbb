import { FINALIZING_QUEUE, PLANNING_QUEUE, QUEUE_PREFIX, WEBHOOK_QUEUE } from '@app/batches';
import { Config } from '@app/config';
import type { EngineCrashedError } from '@app/inference';
import { Injectable, Logger } from '@nestjs/common';
import { type Job, WaitingError, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { HandBackError } from './drain.js';
import { FinalizingProcessor } from './finalizing.processor.js';
import { GroupConsumer } from './group-consumer.js';
import { jobOptions } from './job-options.js';
import { PlanningProcessor } from './planning.processor.js';
import { WebhookProcessor } from './webhooks/webhook.processor.js';

/** Takes jobs from all queues: plans and ends batches one at a time, and document groups as `GroupConsumer` does. */
@Injectable()
export class QueueConsumers {
  private readonly logger = new Logger(QueueConsumers.name);
  private readonly workers: Worker[] = [];

  constructor(
    private readonly config: Config,
    private readonly redis: Redis,
    private readonly planning: PlanningProcessor,
    private readonly groups: GroupConsumer,
    private readonly finalizing: FinalizingProcessor,
    private readonly webhooks: WebhookProcessor,
  ) {}

  /** @param onCrash called when the engine is gone, once its job is back in the queue */
  start(onCrash: (error: EngineCrashedError) => void): void {
    const queues = [
      { queue: PLANNING_QUEUE, processor: this.planning },
      { queue: FINALIZING_QUEUE, processor: this.finalizing },
      { queue: WEBHOOK_QUEUE, processor: this.webhooks },
    ];
    for (const { queue, processor } of queues) {
      const worker = new Worker(queue, (job, token) => this.run(processor, job, token), {
        connection: this.redis,
        prefix: QUEUE_PREFIX,
        ...jobOptions(this.config),
      });
      // Without a listener an error of the connection would end the process; outages are logged by the connection itself.
      worker.on('error', ({ message }) => this.logger.debug(`${queue}: ${message}`));
      worker.on('failed', (job, { message }) => this.logger.warn(`${queue} ${job?.id ?? ''}: ${message}`));
      worker.on('stalled', (id) => this.logger.warn(`${queue} ${id}: its worker was lost; back in the queue`));
      this.workers.push(worker);
    }
    this.groups.start(onCrash);
  }

  /** Takes nothing more and waits until what runs has ended or gone back. */
  async stop(): Promise<void> {
    await Promise.all([this.groups.stop(), ...this.workers.map((worker) => worker.close())]);
  }

  private async run(
    processor: { process(job: Job): Promise<void> },
    job: Job,
    token: string | undefined,
  ): Promise<void> {
    try {
      await processor.process(job);
    } catch (error) {
      if (!(error instanceof HandBackError)) throw error;
      // At once and not after the lock has run out; it costs none of the job's tries.
      await job.moveToWait(token);
      this.logger.log(`handed back ${job.queueName} ${job.id ?? ''}`);
      throw new WaitingError();
    }
  }
}
