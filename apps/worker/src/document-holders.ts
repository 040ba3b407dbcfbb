import { randomUUID } from 'node:crypto';
import { Config } from '@app/config';
import { Injectable } from '@nestjs/common';
import { Redis } from 'ioredis';

/** How long an announcement holds: a worker that has died is asked for nothing after that. */
const ANNOUNCED_MS = 10_000;
/** Longest wait for a job that is handed over, in seconds, until the connection shows that it still lives. */
const LISTEN_SECONDS = 5;

/** A job that another worker took and left to this one, with its lock. */
export interface HandedJob {
  readonly id: string;
  readonly token: string;
}

/** Sorted set: worker -> Unix milliseconds until which it is taken to hold the document. */
const holdersKey = (document: string): string => `longhaul:holders:${document}`;
/** String: groups that a worker could begin at once. */
const placesKey = (worker: string): string => `longhaul:worker:{${worker}}:places`;
/** List of `HandedJob` as JSON. */
const handedKey = (worker: string): string => `longhaul:worker:{${worker}}:handed`;

/**
 * Which worker holds which document, and the way of a job to the one that holds its own.
 *
 * A job that is handed over stays active in the queue of groups, under the lock of the worker that took it; the list of a worker
 * carries the lock to it. Where it dies, or never hears of the job, the lock runs out and the queue gives the job to the
 * next one, as any that is stalled: nothing is left to be cleaned up.
 */
@Injectable()
export class DocumentHolders {
  /** This worker. */
  private readonly worker = randomUUID();
  private listening: Redis | undefined;

  constructor(
    private readonly config: Config,
    private readonly redis: Redis,
  ) {}

  /**
   * To be repeated every few seconds.
   * @param documents keys of those that this worker holds
   * @param places groups that it could begin at once
   */
  async announce(documents: readonly string[], places: number): Promise<void> {
    const pipeline = this.redis.pipeline();
    const now = Date.now();
    for (const document of documents) {
      pipeline.zadd(holdersKey(document), now + ANNOUNCED_MS, this.worker);
      pipeline.zremrangebyscore(holdersKey(document), '-inf', now);
      pipeline.pexpire(holdersKey(document), ANNOUNCED_MS);
    }
    pipeline.set(placesKey(this.worker), places, 'PX', ANNOUNCED_MS);
    await pipeline.exec();
  }

  /** Takes a place at another worker that holds the document and could begin at once; undefined where there is none. */
  async takePlace(document: string): Promise<string | undefined> {
    const holders = await this.redis.zrangebyscore(holdersKey(document), Date.now(), '+inf');
    for (const holder of holders) {
      if (holder === this.worker || Number(await this.redis.get(placesKey(holder))) <= 0) continue;
      if ((await this.redis.decr(placesKey(holder))) >= 0) return holder;
    }
    return undefined;
  }

  /** Leaves a job to the worker at which a place was taken; its lock must not be renewed here any more. */
  async handOver(worker: string, job: HandedJob): Promise<void> {
    const milliseconds = this.config.lockSeconds * 1000;
    const pipeline = this.redis.multi().rpush(handedKey(worker), JSON.stringify(job));
    await pipeline.pexpire(handedKey(worker), milliseconds).exec();
  }

  /** The next job that is handed to this worker; undefined after some seconds without one. */
  async handed(): Promise<HandedJob | undefined> {
    if (this.listening === undefined) {
      this.listening = this.redis.duplicate();
      // The connection that it was made from tells of outages.
      this.listening.on('error', () => undefined);
    }
    const found = await this.listening.blpop(handedKey(this.worker), LISTEN_SECONDS);
    return found === null ? undefined : (JSON.parse(found[1]) as HandedJob);
  }

  /** Is asked for nothing more; what `handed` waits for ends. */
  async close(): Promise<void> {
    this.listening?.disconnect();
    await this.redis.del(placesKey(this.worker));
  }
}
