import { once } from 'node:events';
import { Worker } from 'bullmq';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BatchStores, chatLine } from '../../../test/batch-stores.js';
import type { BatchPlanner } from './batch-planner.js';
import type { RedisBatchStore } from './batch-store.redis.js';
import { answeredItem } from './item-outcome.js';
import { groupQueue, QUEUE_PREFIX } from './queues.js';

const MODEL = 'tiny';

let stores: BatchStores;

beforeAll(async () => {
  stores = await BatchStores.open();
});
afterAll(() => stores?.close());
beforeEach(() => stores.redis.flushall());

/** What a prompt says does not matter here. */
const plannerOver = (batches: RedisBatchStore): BatchPlanner => {
  const encoder = {
    contextLength: 8192,
    vocabularySize: 10,
    encode: async () => Int32Array.of(1, 2, 3),
    tokenEnds: async () => new Uint32Array(0),
    encodeText: async () => Int32Array.of(1, 2, 3),
  };
  const options = { model: MODEL, compression: { policy: 'full', budget: 1 }, maxLineBytes: 10_000, maxLines: 10 };
  return stores.planner(encoder, options, batches);
};

const line = (customId: string, content: string): object => chatLine(MODEL, customId, content);

describe('a batch that ends', () => {
  it('is brought to it whatever got lost, once', async () => {
    const reconciler = stores.reconciler();
    const finalizer = stores.finalizer();
    const planning = stores.queue('planning');
    const finalizing = stores.queue('finalizing');
    const groups = stores.queue(groupQueue(MODEL));
    const batch = await stores.batchOf([line('a', 'Hello'), line('b', 'Bye'), { bad: 1 }], {
      output_expires_after: { anchor: 'created_at', seconds: 3600 },
    });

    await reconciler.reconcile();
    expect(await planning.getJob(batch.id)).toBeDefined();
    await plannerOver(stores.batches).plan(batch.id);

    await groups.obliterate({ force: true });
    await reconciler.reconcile(); // sees how far it is
    await reconciler.reconcile(); // sees that it does not move
    expect(await stores.groupJobs(MODEL)).toEqual([`${batch.id}-0`, `${batch.id}-1`]);

    // With work in the queue it does not look at every group; without, it does.
    await (await groups.getJob(`${batch.id}-1`))!.remove();
    await reconciler.reconcile();
    expect(await stores.groupJobs(MODEL)).toEqual([`${batch.id}-0`]);
    await (await groups.getJob(`${batch.id}-0`))!.remove();
    await reconciler.reconcile();
    expect(await stores.groupJobs(MODEL)).toEqual([`${batch.id}-0`, `${batch.id}-1`]);

    await finalizer.finalize(batch.id);
    expect((await stores.batches.get(batch.id))?.status).toBe('in_progress');
    await stores.results.record(batch.id, 1, answeredItem('b', { said: 'bye' }));
    await stores.results.record(batch.id, 0, answeredItem('a', { said: 'hello' }));
    expect(await finalizing.getJob(batch.id)).toBeUndefined();
    await reconciler.reconcile();
    expect(await finalizing.getJob(batch.id)).toBeDefined();

    await Promise.all([finalizer.finalize(batch.id), finalizer.finalize(batch.id)]);
    await finalizer.finalize(batch.id);
    const ended = await stores.batches.get(batch.id);
    expect(ended).toMatchObject({ status: 'completed', completed_at: expect.any(Number) });
    const output = await stores.files.get(ended!.output_file_id!);
    const errors = await stores.files.get(ended!.error_file_id!);
    expect(await stores.linesOf(ended!.output_file_id!)).toMatchObject([
      { custom_id: 'a', response: { status_code: 200, body: { said: 'hello' } }, error: null },
      { custom_id: 'b', response: { status_code: 200, body: { said: 'bye' } }, error: null },
    ]);
    expect(await stores.linesOf(ended!.error_file_id!)).toMatchObject([{ error: { line: 3 } }]);
    expect(output).toMatchObject({ purpose: 'batch_output', bytes: await stores.blobs.size(output!.blobKey) });
    for (const file of [output!, errors!]) expect(file.expires_at! - file.created_at).toBe(3600);
    expect(await stores.plansOf(batch.id)).toEqual([]);
    expect(await stores.batches.unfinished()).toEqual([]);
    for (const queue of [planning, finalizing, groups]) await queue.close();
  });

  it('has a group queued again whose job failed', async () => {
    const batch = await stores.batchOf([line('a', 'Hello')]);
    await plannerOver(stores.batches).plan(batch.id);
    const worker = new Worker(groupQueue(MODEL), undefined, { connection: stores.redis, prefix: QUEUE_PREFIX });
    const job = (await worker.getNextJob('token'))!;
    job.opts.attempts = 1;
    await job.moveToFailed(new Error('gone'), 'token');
    expect(await job.isFailed()).toBe(true);
    await stores.jobs.answerGroup(MODEL, batch.id, 0);
    expect(await job.isFailed()).toBe(false);
    expect(await stores.groupJobs(MODEL)).toEqual([`${batch.id}-0`]);
    await worker.close();
  });
});

describe('a batch that ends early', () => {
  it('expires with what is complete, and takes no answer afterwards', async () => {
    const reconciler = stores.reconciler();
    const batch = await stores.batchOf([line('a', 'Hello'), line('b', 'Bye'), { bad: 1 }], { expires_at: 2 });
    await plannerOver(stores.batches).plan(batch.id);
    await stores.results.record(batch.id, 1, answeredItem('b', { said: 'bye' }));
    const watch = await stores.cancellations.watch(batch.id);
    expect(watch.signal.aborted).toBe(false);
    const aborted = once(watch.signal, 'abort');
    await reconciler.reconcile();
    await aborted;
    await watch.stop();
    const finalizing = stores.queue('finalizing');
    expect(await finalizing.getJob(batch.id)).toBeDefined();
    await finalizing.close();
    expect(await stores.batches.get(batch.id)).toMatchObject({ status: 'finalizing', expired_at: expect.any(Number) });
    await reconciler.reconcile();
    await stores.finalizer().finalize(batch.id);
    await stores.finalizer().finalize(batch.id);
    await stores.results.record(batch.id, 0, answeredItem('a', { said: 'too late' }));
    const ended = await stores.batches.get(batch.id);
    expect(ended).toMatchObject({ status: 'expired', expired_at: expect.any(Number) });
    expect(await stores.results.counts(batch.id)).toEqual({ total: 3, completed: 1, failed: 2 });
    expect(await stores.linesOf(ended!.output_file_id!)).toMatchObject([{ custom_id: 'b' }]);
    expect(await stores.linesOf(ended!.error_file_id!)).toMatchObject([
      { custom_id: 'a', response: null, error: { code: 'batch_expired', message: expect.stringContaining('window') } },
      { custom_id: null, error: { line: 3 } },
    ]);
    expect(await stores.plansOf(batch.id)).toEqual([]);
    expect(await stores.batches.unfinished()).toEqual([]);
  });

  it.each([
    ['before its planning', { status: 'cancelling', cancelling_at: 5 }],
    ['before its planning, by time', { status: 'finalizing', expired_at: 5 }],
  ] as const)('%s leaves nothing behind', async (_when, change) => {
    const batch = await stores.batchOf([line('a', 'Hello')], change);
    await plannerOver(stores.batches).plan(batch.id);
    expect(await stores.plansOf(batch.id)).toEqual([]);
    await stores.finalizer().finalize(batch.id);
    expect((await stores.batches.get(batch.id))?.status).toBe(change.status === 'cancelling' ? 'cancelled' : 'expired');
    expect(await stores.batches.unfinished()).toEqual([]);
  });

  it('while it is planned queues no group', async () => {
    const batch = await stores.batchOf([line('a', 'Hello'), line('b', 'Bye')]);
    const cancelling: Pick<RedisBatchStore, 'transition'> = {
      async transition(id, from, change) {
        await stores.batches.transition(id, ['validating'], { status: 'cancelling', cancelling_at: 7 });
        return stores.batches.transition(id, from, change);
      },
    };
    const interrupted = Object.setPrototypeOf(cancelling, stores.batches) as RedisBatchStore;
    await plannerOver(interrupted).plan(batch.id);
    expect(await stores.groupJobs(MODEL)).toEqual([]);
    await stores.finalizer().finalize(batch.id);
    const ended = await stores.batches.get(batch.id);
    expect(ended).toMatchObject({ status: 'cancelled', cancelling_at: 7, cancelled_at: expect.any(Number) });
    expect(await stores.linesOf(ended!.error_file_id!)).toMatchObject([
      { custom_id: 'a', error: { code: 'batch_cancelled' } },
      { custom_id: 'b', error: { code: 'batch_cancelled' } },
    ]);
  });
});
