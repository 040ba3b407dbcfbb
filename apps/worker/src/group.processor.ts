import { BatchJobs, type GroupJob, type GroupPlan } from '@app/batches';
import { ResultStore } from '@app/results';
import { BlobNotFoundError, BlobStore } from '@app/storage';
import { Injectable } from '@nestjs/common';
import type { Job } from 'bullmq';
import { ChatAnswerer } from './chat-answerer.js';
import { GroupAnswerer } from './group-answerer.js';

/** Answers document groups and chat completions. */
@Injectable()
export class GroupProcessor {
  constructor(
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
    private readonly jobs: BatchJobs,
    private readonly groups: GroupAnswerer,
    private readonly chats: ChatAnswerer,
  ) {}

  async process({ data }: Job<GroupJob>): Promise<void> {
    if (data.kind === 'chat') return this.chats.answer(data);
    const plan = await this.plan(data.planKey);
    if (plan) await this.groups.answer(plan, data.planKey);
    const { total, completed, failed } = await this.results.counts(data.batchId);
    if (completed + failed >= total) await this.jobs.finalize(data.batchId);
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
