import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { BATCH_PRIORITY, CHAT_PRIORITY, type GroupJob, groupQueue, QUEUE_PREFIX } from '@app/batches';
import { type Config, loadConfig } from '@app/config';
import { Engine, EngineCrashedError, HeldDocuments } from '@app/inference';
import { EngineMetrics } from '@app/telemetry';
import { Logger } from '@nestjs/common';
import { Job, Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { DocumentHolders } from './document-holders.js';
import { HandBackError } from './drain.js';
import type { GroupProcessor } from './group.processor.js';
import { GroupConsumer } from './group-consumer.js';
import { LeftElsewhereError, NoRoomError, type Placement } from './placement.js';

const DOCUMENT = Array.from({ length: 300 }, (_, i) => 3 + (i % 200));
const HELD = { tokens: DOCUMENT, compression: { policy: 'full', budget: 1 }, items: 1 };
/** No lock runs out because this process had to wait for a core. */
const LOCK_SECONDS = 60;
const LOCK_MS = LOCK_SECONDS * 1000;
/** For what comes as soon as others let it. */
const PATIENCE = { timeout: 150_000 };

/** Groups whose course the test decides; the queue, its locks and the lists of workers are real. */
class Groups {
  /** Those that have been begun, in this order. */
  readonly begun: string[] = [];
  private readonly running = new Map<string, { end: () => void; fail: (error: Error) => void }>();
  /** Jobs that do not fit until this resolves. */
  readonly tooLarge = new Map<string, Promise<void>>();
  /** Those that were left to another worker. */
  readonly left: string[] = [];
  /** Asks whether another worker holds the document, as a group about one that is not held here does. */
  asks = false;

  constructor(private readonly key: string) {}

  readonly processor = {
    process: async ({ id = '' }: Job<GroupJob>, { onPlaced, elsewhere }: Placement): Promise<void> => {
      const room = this.tooLarge.get(id);
      if (room !== undefined) throw new NoRoomError(room);
      const worker = this.asks ? await elsewhere?.(this.key) : undefined;
      if (worker !== undefined) {
        this.left.push(id);
        throw new LeftElsewhereError(worker);
      }
      onPlaced?.();
      this.begun.push(id);
      await new Promise<void>((end, fail) => this.running.set(id, { end, fail }));
    },
  } as unknown as GroupProcessor;

  end(id: string): void {
    this.running.get(id)?.end();
  }

  fail(id: string, error: Error): void {
    this.running.get(id)?.fail(error);
  }
}

describe('a worker that takes groups', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-consumer-'));
  const metrics = new EngineMetrics();
  let server: RedisServer;
  let redis: Redis;
  let engine: Engine;
  let documents: HeldDocuments;
  let config: Config;
  let queue: Queue<GroupJob>;
  let workers: { consumer: GroupConsumer; groups: Groups }[];

  beforeAll(async () => {
    Logger.overrideLogger(false);
    server = await startRedis();
    redis = new Redis(server.url, { maxRetriesPerRequest: null });
    const modelPath = join(folder, 'tiny.gguf');
    writeTinyGguf(modelPath);
    engine = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
    config = loadConfig({
      LONGHAUL_MODEL: modelPath,
      LONGHAUL_MAX_GROUPS: '2',
      LONGHAUL_LOCK_SECONDS: String(LOCK_SECONDS),
    });
  });
  afterAll(async () => {
    metrics.close();
    await engine.close();
    redis.disconnect();
    await server.stop();
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(async () => {
    await redis.flushall();
    queue = new Queue(groupQueue(config.modelId), { connection: redis, prefix: QUEUE_PREFIX });
    documents = new HeldDocuments(engine);
    workers = [];
  });
  afterEach(async () => {
    for (const { consumer, groups } of workers) {
      const stopped = consumer.stop();
      for (const id of groups.begun) groups.end(id);
      await stopped;
    }
    await queue.close();
  });

  function start(held = documents, onCrash = (_: EngineCrashedError) => {}, settings = config): Groups {
    const groups = new Groups(documents.keyOf(HELD));
    const holders = new DocumentHolders(settings, redis);
    const consumer = new GroupConsumer(settings, redis, groups.processor, held, holders, metrics);
    workers.push({ consumer, groups });
    consumer.start(onCrash);
    return groups;
  }
  const add = async (id: string): Promise<void> => {
    await queue.add('group', { kind: 'batch', batchId: id, planKey: id }, { jobId: id, priority: BATCH_PRIORITY });
  };
  const addChat = async (id: string): Promise<void> => {
    const data: GroupJob = { kind: 'chat', completionId: id, bodyKey: id, stream: false };
    await queue.add('chat', data, { jobId: id, priority: CHAT_PRIORITY });
  };
  const begun = (groups: Groups, ...ids: string[]) => vi.waitFor(() => expect(groups.begun).toEqual(ids), PATIENCE);
  const states = (...ids: string[]) => Promise.all(ids.map((id) => queue.getJobState(id)));

  it('takes as many as it may, in order, and a chat beside them', async () => {
    for (const id of ['a', 'b', 'c', 'd']) await add(id);
    const groups = start();
    await begun(groups, 'a', 'b');
    await addChat('chat');
    await begun(groups, 'a', 'b', 'chat');
    expect(await states('a', 'b', 'c', 'd', 'chat')).toEqual([
      'active',
      'active',
      'prioritized',
      'prioritized',
      'active',
    ]);
    groups.end('chat');
    groups.end('a');
    await begun(groups, 'a', 'b', 'chat', 'c');
    expect(await states('a', 'chat', 'd')).toEqual(['completed', 'completed', 'prioritized']);
  });

  it('waits with what does not fit until there is room, and with all that came later', async () => {
    for (const id of ['a', 'large', 'small']) await add(id);
    let free = (): void => undefined;
    const groups = start();
    groups.tooLarge.set('large', new Promise((resolve) => (free = resolve)));
    await begun(groups, 'a');
    await vi.waitFor(async () => expect((await queue.getPrioritized(0, 0))[0]?.id).toBe('large'), PATIENCE);
    await addChat('chat');
    await begun(groups, 'a', 'chat');
    expect(await states('large', 'small')).toEqual(['prioritized', 'prioritized']);
    groups.end('chat');
    groups.tooLarge.clear();
    free();
    await begun(groups, 'a', 'chat', 'large');
    groups.end('a');
    await begun(groups, 'a', 'chat', 'large', 'small');
  });

  it('leaves a group to the worker that holds its document, and renews its lock there', async () => {
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    onTestFinished(() => void vi.useRealTimers());
    const lease = documents.lease(HELD)!;
    await lease.cache();
    const holder = start();
    // It is known to hold the document once it has begun a job.
    const jobs = ['first'];
    await add('first');
    await begun(holder, 'first');
    const other = start(new HeldDocuments(engine));
    other.asks = true;
    // Whichever of them Redis gives a job to, the holder begins it; soon one comes to the other first.
    for (let id = 'first'; !other.left.includes(id); ) {
      holder.end(id);
      id = `job-${jobs.length}`;
      jobs.push(id);
      await add(id);
      await begun(holder, ...jobs);
    }
    const lock = `${QUEUE_PREFIX}:${queue.name}:${other.left[0]}:lock`;
    await redis.pexpire(lock, LOCK_MS / 2);
    vi.advanceTimersByTime(LOCK_MS / 2);
    await vi.waitFor(async () => expect(await redis.pttl(lock)).toBeGreaterThan(LOCK_MS / 2), PATIENCE);
    lease.end();
  });

  it('counts a lock as lost while its job runs, not while the job is moved on', async () => {
    const lost = vi.spyOn(metrics.locks, 'lost');
    onTestFinished(() => lost.mockRestore());
    for (const id of ['a', 'b']) await add(id);
    const groups = start();
    await begun(groups, 'a', 'b');
    const { consumer } = workers[0]!;
    const renew = () => (consumer as unknown as { renewLocks(): Promise<void> }).renewLocks();
    await renew();
    expect(lost).not.toHaveBeenCalled();
    let goOn = (): void => undefined;
    const moved = Job.prototype.moveToCompleted;
    const moving = vi.spyOn(Job.prototype, 'moveToCompleted').mockImplementation(async function (this: Job, ...given) {
      const result = await moved.apply(this, given);
      await new Promise<void>((resolve) => (goOn = resolve));
      return result;
    });
    onTestFinished(() => moving.mockRestore());
    try {
      groups.end('a');
      await vi.waitFor(async () => expect(await states('a')).toEqual(['completed']), PATIENCE);
      await renew();
      expect(lost).not.toHaveBeenCalled();
      await vi.waitFor(() => expect(moving).toHaveBeenCalled(), PATIENCE);
      await redis.del(`${QUEUE_PREFIX}:${queue.name}:b:lock`);
      await renew();
      expect(lost).toHaveBeenCalledOnce();
    } finally {
      goOn();
    }
  });

  it('begins what it left to a worker that never came for it', async () => {
    const gone = new DocumentHolders(config, redis);
    await gone.announce([documents.keyOf(HELD)], 5);
    const other = start(documents, undefined, { ...config, lockSeconds: 1 });
    other.asks = true;
    await add('lost');
    await vi.waitFor(() => expect(other.begun).toContain('lost'), PATIENCE);
    expect(other.left).toEqual(['lost']);
  });

  it('hands back what it is told to, tries again what failed, and says when the engine is gone', async () => {
    const crashed = vi.fn();
    const groups = start(documents, crashed);
    await queue.add('group', { kind: 'batch', batchId: 'a', planKey: 'a' }, { jobId: 'a', attempts: 3 });
    await begun(groups, 'a');
    groups.fail('a', new HandBackError());
    await begun(groups, 'a', 'a');
    expect(await queue.getJob('a')).toMatchObject({ attemptsMade: 0 });
    groups.fail('a', new Error('passing'));
    await begun(groups, 'a', 'a', 'a');
    expect(await queue.getJob('a')).toMatchObject({ attemptsMade: 1, failedReason: 'passing' });
    groups.fail('a', new EngineCrashedError('out of memory'));
    await vi.waitFor(() => expect(crashed).toHaveBeenCalledTimes(1), PATIENCE);
    await begun(groups, 'a', 'a', 'a', 'a');
  });
});
