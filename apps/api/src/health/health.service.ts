import { Injectable } from '@nestjs/common';
import type { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { JobQueues } from '../job-queues.js';

/** A health check that takes longer is as good as none. */
const TIMEOUT_MS = 2000;

export type Health =
  | { status: 'ok'; redis: 'ok'; queues: Record<string, QueueDepth>; workers: number }
  | { status: 'unavailable'; redis: 'unavailable' };

/** Jobs of one queue: `waiting` may start now, `delayed` later, `active` run. */
interface QueueDepth {
  waiting: number;
  active: number;
  delayed: number;
}

@Injectable()
export class HealthService {
  constructor(
    private readonly redis: Redis,
    private readonly queues: JobQueues,
  ) {}

  /** Never throws and answers within two seconds. */
  async check(): Promise<Health> {
    let timer: NodeJS.Timeout | undefined;
    const tooLate = new Promise<never>((_, reject) => {
      timer = setTimeout(() => reject(new Error('too late')), TIMEOUT_MS);
    });
    try {
      return await Promise.race([this.look(), tooLate]);
    } catch {
      return { status: 'unavailable', redis: 'unavailable' };
    } finally {
      clearTimeout(timer);
    }
  }

  private async look(): Promise<Health> {
    await this.redis.ping();
    const { planning, groups, finalizing } = this.queues;
    const [workers, ...depths] = await Promise.all([
      groups.getWorkersCount(),
      depthOf(planning),
      depthOf(groups),
      depthOf(finalizing),
    ]);
    const names = ['planning', 'groups', 'finalizing'];
    const queues = Object.fromEntries(depths.map((depth, i) => [names[i], depth]));
    return { status: 'ok', redis: 'ok', queues, workers };
  }
}

async function depthOf(queue: Queue): Promise<QueueDepth> {
  // BullMQ keeps jobs with a priority apart from those that wait without one.
  const counts = await queue.getJobCounts('waiting', 'prioritized', 'active', 'delayed');
  const count = (state: string): number => counts[state] ?? 0;
  return { waiting: count('waiting') + count('prioritized'), active: count('active'), delayed: count('delayed') };
}
