import { BatchJobs, BatchPlanner, type PlanningJob } from '@app/batches';
import { Cancellations } from '@app/results';
import { Injectable } from '@nestjs/common';
import type { Job } from 'bullmq';
import { Drain } from './drain.js';

/** Plans batches. */
@Injectable()
export class PlanningProcessor {
  constructor(
    private readonly planner: BatchPlanner,
    private readonly jobs: BatchJobs,
    private readonly cancellations: Cancellations,
    private readonly drain: Drain,
  ) {}

  async process({ data }: Job<PlanningJob>): Promise<void> {
    const watch = await this.cancellations.watch(data.batchId);
    try {
      await this.planner.plan(data.batchId, AbortSignal.any([this.drain.started, watch.signal]));
    } catch (error) {
      if (!watch.signal.aborted) throw error;
      await this.jobs.finalize(data.batchId);
    } finally {
      await watch.stop();
    }
  }
}
