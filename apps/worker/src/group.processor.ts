import { type BatchGroupJob, BatchJobs, type GroupJob, type GroupPlan } from '@app/batches';
import { Cancellations, ResultStore } from '@app/results';
import { BlobNotFoundError, BlobStore } from '@app/storage';
import { Injectable } from '@nestjs/common';
import type { Job } from 'bullmq';
import { CompletionAnswerer } from './completion-answerer.js';
import { GroupAnswerer } from './group-answerer.js';
import { PartCombiner } from './part-combiner.js';
import type { Placement } from './placement.js';

/** Answers document groups and completions that somebody waits for. */
@Injectable()
export class GroupProcessor {
  constructor(
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
    private readonly jobs: BatchJobs,
    private readonly groups: GroupAnswerer,
    private readonly combiner: PartCombiner,
    private readonly completions: CompletionAnswerer,
    private readonly cancellations: Cancellations,
  ) {}

  /** @throws as `GroupAnswerer.answer` */
  async process({ data }: Job<GroupJob>, placement: Placement = {}): Promise<void> {
    const watch = await this.cancellations.watch(data.kind === 'batch' ? data.batchId : data.completionId);
    try {
      if (data.kind === 'batch') await this.answerGroup(data, watch.signal, placement);
      else await this.completions.answer(data, watch.signal, placement);
    } finally {
      await watch.stop();
    }
  }

  private async answerGroup(
    { batchId, planKey }: BatchGroupJob,
    cancelled: AbortSignal,
    placement: Placement,
  ): Promise<void> {
    const plan = await this.plan(planKey);
    if (plan) {
      await this.groups.answer(plan, planKey, { cancelled, ...placement });
      const { onPlaced } = placement;
      await this.combiner.combine(plan, planKey, { cancelled, ...(onPlaced && { onPlaced }) });
    }
    const { total, completed, failed } = await this.results.counts(batchId);
    if (completed + failed >= total) await this.jobs.finalize(batchId);
  }

  /** Undefined where the batch has ended and its plans are gone: then there is nothing left to answer. */
  private async plan(key: string): Promise<GroupPlan | undefined> {
    try {
      return JSON.parse((await this.blobs.read(key)).toString()) as GroupPlan;
    } catch (error) {
      if (error instanceof BlobNotFoundError) return undefined;
      throw error;
    }
  }
}
