import { randomUUID } from 'node:crypto';
import { setTimeout as pause } from 'node:timers/promises';
import { type GroupJob, groupQueue, QUEUE_PREFIX } from '@app/batches';
import { Config } from '@app/config';
import { EngineAbortedError, EngineCrashedError, HeldDocuments } from '@app/inference';
import { EngineMetrics } from '@app/telemetry';
import { Injectable, Logger } from '@nestjs/common';
import { Job, Queue, Worker } from 'bullmq';
import { Redis } from 'ioredis';
import { DocumentHolders } from './document-holders.js';
import { HandBackError } from './drain.js';
import { GroupProcessor } from './group.processor.js';
import { jobOptions } from './job-options.js';
import { LeftElsewhereError, NoRoomError, type Placement } from './placement.js';

/** How often a worker says what it holds. */
const ANNOUNCE_EVERY_MS = 3000;
/** How often it looks, while it can take no more, whether something that it could take has come to the front of the queue. */
const LOOK_EVERY_MS = 1000;
/** Between two tries to fetch a job while Redis is away. */
const RETRY_MS = 1000;

/** A job that runs here, under this lock. */
interface RunningJob {
  readonly token: string;
  readonly ended: Promise<void>;
}

/**
 * Takes document groups: as many at once as configured and as their documents fit into memory. Jobs are fetched by hand, one at
 * a time: where one does not fit it goes back to the front of the queue at once, for any worker that has room, and no other is
 * taken here before there is room or another one stands in front.
 *
 * A job whose document another worker holds is left to that one, if it could begin at once.
 */
@Injectable()
export class GroupConsumer {
  private readonly logger = new Logger(GroupConsumer.name);
  private readonly stopping = new AbortController();
  private readonly running = new Map<string, RunningJob>();
  /** Tokens of jobs that are being moved on. */
  private readonly leaving = new Set<string>();
  private readonly name: string;
  private readonly lockMs: number;
  private readonly worker: Worker<GroupJob>;
  private readonly queue: Queue<GroupJob>;
  private timers: NodeJS.Timeout[] = [];
  private loops: Promise<void>[] = [];
  /** The job that went back for want of memory, and the next time that there is more. */
  private blocked: { readonly id: string; readonly room: Promise<void> } | undefined;
  private onCrash: (error: EngineCrashedError) => void = () => undefined;

  constructor(
    private readonly config: Config,
    redis: Redis,
    private readonly processor: GroupProcessor,
    private readonly documents: HeldDocuments,
    private readonly holders: DocumentHolders,
    private readonly metrics: EngineMetrics,
  ) {
    this.name = groupQueue(config.modelId);
    this.lockMs = config.lockSeconds * 1000;
    const connection = { connection: redis, prefix: QUEUE_PREFIX };
    this.worker = new Worker(this.name, undefined, { ...connection, ...jobOptions(config), autorun: false });
    this.queue = new Queue(this.name, connection);
    // Without a listener an error of the connection would end the process; outages are logged by the connection itself.
    const debug = ({ message }: Error): void => this.logger.debug(`${this.name}: ${message}`);
    this.worker.on('error', debug);
    this.queue.on('error', debug);
    this.worker.on('stalled', (id) => this.logger.warn(`${this.name} ${id}: its worker was lost; back in the queue`));
  }

  /** @param onCrash called when the engine is gone, once its job is back in the queue */
  start(onCrash: (error: EngineCrashedError) => void): void {
    this.onCrash = onCrash;
    void this.worker.startStalledCheckTimer();
    this.timers = [
      setInterval(() => void this.renewLocks(), this.lockMs / 2),
      setInterval(() => this.announce(), ANNOUNCE_EVERY_MS),
    ];
    this.loops = [this.take(), this.takeHanded()];
  }

  /** Takes nothing more and waits until what runs has ended or gone back. */
  async stop(): Promise<void> {
    this.stopping.abort();
    await this.holders.close();
    while (this.running.size > 0) await Promise.all([...this.running.values()].map(({ ended }) => ended));
    for (const timer of this.timers) clearInterval(timer);
    await this.worker.close(true);
    await this.queue.close();
    await Promise.all(this.loops);
  }

  private get stopped(): boolean {
    return this.stopping.signal.aborted;
  }

  /** Jobs from the queue. */
  private async take(): Promise<void> {
    while (!this.stopped) {
      await this.place();
      await this.room();
      const job = await this.fetch();
      if (job !== undefined) await this.begin(job, job.attemptsStarted <= 1);
    }
  }

  /** Jobs that other workers took, about documents that are held here. */
  private async takeHanded(): Promise<void> {
    while (!this.stopped) {
      try {
        const handed = await this.holders.handed();
        if (handed === undefined) continue;
        const lost = await this.worker.extendJobLocks([handed.id], [handed.token], this.lockMs);
        const job = lost.length > 0 ? undefined : await Job.fromId<GroupJob>(this.worker, handed.id);
        if (job !== undefined) await this.begin(Object.assign(job, { token: handed.token }), false);
      } catch (error) {
        if (!this.stopped) await this.outage(error);
      }
    }
  }

  /** Undefined after some seconds without a job. */
  private async fetch(): Promise<Job<GroupJob> | undefined> {
    try {
      return await this.worker.getNextJob(randomUUID());
    } catch (error) {
      if (!this.stopped) await this.outage(error);
      return undefined;
    }
  }

  private async outage(error: unknown): Promise<void> {
    this.logger.debug(`${this.name}: ${error instanceof Error ? error.message : String(error)}`);
    await pause(RETRY_MS);
  }

  /** Waits until there is a place for another group. Somebody waits for a completion: it does not wait for a batch's groups. */
  private async place(): Promise<void> {
    while (this.running.size >= this.config.maxGroups) {
      await Promise.race([...[...this.running.values()].map(({ ended }) => ended), pause(LOOK_EVERY_MS)]);
      if (this.stopped || this.mayBegin((await this.front())?.data)) return;
    }
  }

  /** Whether there is a place for a group; for a completion there are as many again. */
  private mayBegin(job: GroupJob | undefined): boolean {
    const { maxGroups } = this.config;
    return this.running.size < (job === undefined || job.kind === 'batch' ? maxGroups : 2 * maxGroups);
  }

  /** The job that is next in the queue. */
  private async front(): Promise<Job<GroupJob> | undefined> {
    return (await this.queue.getPrioritized(0, 0).catch(() => []))[0];
  }

  /** Waits, after a job did not fit, until there is more room or another job stands in front of the queue. */
  private async room(): Promise<void> {
    let free = false;
    while (this.blocked !== undefined && !this.stopped) {
      const { id, room } = this.blocked;
      await Promise.race([room.then(() => (free = true)), pause(LOOK_EVERY_MS)]);
      if (free || (await this.front())?.id !== id) this.blocked = undefined;
    }
  }

  /**
   * Resolves once the job has its place in memory, went back or ended.
   * @param mayLeave to a worker that holds its document; a job that was left to one or went back once is not left again
   */
  private async begin(job: Job<GroupJob>, mayLeave: boolean): Promise<void> {
    const id = job.id as string;
    const token = job.token as string;
    if (this.stopped || !this.mayBegin(job.data)) return this.handBack(job, token);
    await new Promise<void>((placed) => {
      // What a completion needs is known only when it is planned, which may mean to read a long document.
      if (job.data.kind !== 'batch') placed();
      const elsewhere = (document: string) => this.holders.takePlace(document);
      const placement: Placement = { onPlaced: placed, ...(mayLeave && { elsewhere }) };
      const ended = this.run(job, token, placement).finally(() => {
        if (this.running.get(id)?.token === token) this.running.delete(id);
        this.leaving.delete(token);
        this.announce();
        placed();
      });
      this.running.set(id, { token, ended });
    });
    this.announce();
  }

  private async run(job: Job<GroupJob>, token: string, placement: Placement): Promise<void> {
    try {
      await this.processor.process(job, placement);
      this.leaving.add(token);
      await job.moveToCompleted(undefined, token, false);
    } catch (error) {
      this.leaving.add(token);
      await this.ended(job, token, error).catch((lost: Error) => {
        // The lock ran out while Redis was away, or nobody waits for the job any more: its next run finds what is recorded.
        this.logger.warn(`${this.name} ${job.id}: ${lost.message}`);
      });
    }
  }

  private async ended(job: Job<GroupJob>, token: string, error: unknown): Promise<void> {
    if (error instanceof LeftElsewhereError) {
      const id = job.id as string;
      this.running.delete(id);
      await this.holders.handOver(error.worker, { id, token });
      this.logger.log(`left ${this.name} ${id} to a worker that holds its document`);
      return;
    }
    if (error instanceof NoRoomError) {
      await job.moveToWait(token);
      this.blocked = { id: job.id as string, room: error.room };
      this.logger.log(`no room yet for ${this.name} ${job.id}; back in the queue`);
      return;
    }
    const crashed = error instanceof EngineCrashedError;
    if (crashed || error instanceof HandBackError || error instanceof EngineAbortedError) {
      await this.handBack(job, token);
      if (crashed) this.onCrash(error);
      return;
    }
    const reason = error instanceof Error ? error : new Error(String(error));
    this.logger.warn(`${this.name} ${job.id}: ${reason.message}`);
    await job.moveToFailed(reason, token, false);
  }

  /** At once and not after the lock has run out; it costs none of the job's tries. */
  private async handBack(job: Job<GroupJob>, token: string): Promise<void> {
    await job.moveToWait(token);
    this.logger.log(`handed back ${this.name} ${job.id}`);
  }

  private async renewLocks(): Promise<void> {
    const jobs = [...this.running];
    if (jobs.length === 0) return;
    const ids = jobs.map(([id]) => id);
    const tokens = jobs.map(([, { token }]) => token);
    try {
      const lost = await this.worker.extendJobLocks(ids, tokens, this.lockMs);
      for (const id of lost) {
        // A job that has just been moved on has no lock any more.
        const token = tokens[ids.indexOf(id)] as string;
        if (this.leaving.has(token) || this.running.get(id)?.token !== token) continue;
        this.metrics.locks.lost();
        this.logger.warn(`${this.name} ${id}: its lock was lost; another worker may run it too`);
      }
    } catch (error) {
      this.metrics.locks.renewalMissed();
      this.logger.warn(`locks of ${this.name} were not renewed: ${(error as Error).message}`);
    }
  }

  private announce(): void {
    if (this.stopped) return;
    const places = Math.max(0, this.config.maxGroups - this.running.size);
    this.holders.announce(this.documents.keys, places).catch(({ message }: Error) => this.logger.debug(message));
  }
}
