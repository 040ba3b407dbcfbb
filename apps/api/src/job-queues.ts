import { FINALIZING_QUEUE, groupQueue, PLANNING_QUEUE, QUEUE_PREFIX } from '@app/batches';
import { Config } from '@app/config';
import { Injectable, Logger } from '@nestjs/common';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';

/** The queues as the API sees them: it adds chat completions to `groups` and counts what waits in all. */
@Injectable()
export class JobQueues {
  readonly planning: Queue;
  readonly groups: Queue;
  readonly finalizing: Queue;

  constructor(config: Config, redis: Redis) {
    const open = (name: string): Queue => {
      const queue = new Queue(name, { connection: redis, prefix: QUEUE_PREFIX });
      // The connection reports its outages itself, and a failed command fails the request that needed it.
      queue.on('error', (error) => new Logger('Queue').debug(`${name}: ${error.message}`));
      return queue;
    };
    this.planning = open(PLANNING_QUEUE);
    this.groups = open(groupQueue(config.modelId));
    this.finalizing = open(FINALIZING_QUEUE);
  }

  async close(): Promise<void> {
    await Promise.all([this.planning.close(), this.groups.close(), this.finalizing.close()]);
  }
}
