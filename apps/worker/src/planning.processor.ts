import { BatchPlanner, type PlanningJob } from '@app/batches';
import { Injectable } from '@nestjs/common';
import type { Job } from 'bullmq';
import { Drain } from './drain.js';

/** Plans batches. */
@Injectable()
export class PlanningProcessor {
  constructor(
    private readonly planner: BatchPlanner,
    private readonly drain: Drain,
  ) {}

  async process({ data }: Job<PlanningJob>): Promise<void> {
    await this.planner.plan(data.batchId, this.drain.started);
  }
}
