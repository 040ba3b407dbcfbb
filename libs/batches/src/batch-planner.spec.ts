import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel, TokenEnds } from '@app/gguf-model';
import { Cancellations, RedisResultStore } from '@app/results';
import { FileSystemBlobStore } from '@app/storage';
import { Queue } from 'bullmq';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import { BatchFinalizer } from './batch-finalizer.js';
import { BatchJobs, groupPlanKey } from './batch-jobs.js';
import { BatchPlanner } from './batch-planner.js';
import { BatchReconciler } from './batch-reconciler.js';
import { type BatchRecord, newBatchId } from './batch-record.js';
import { RedisBatchStore } from './batch-store.redis.js';
import { type FilePurpose, fileBlobKey, newFileId } from './file-record.js';
import { RedisFileStore } from './file-store.redis.js';
import type { GroupPlan } from './group-plan.js';
import { answeredItem } from './item-outcome.js';
import type { PromptEncoder } from './prompt.js';
import { groupQueue, QUEUE_PREFIX } from './queues.js';
import type { TextEncoder } from './text-plan.js';

const root = join(import.meta.dirname, '../../..');
const MODEL = 'smollm2';
const RETENTION_SECONDS = 1000;

let server: RedisServer;
let redis: Redis;
let folder: string;
let model: GgufModel;
let blobs: FileSystemBlobStore;
let batches: RedisBatchStore;
let files: RedisFileStore;
let results: RedisResultStore;
let cancellations: Cancellations;
let jobs: BatchJobs;
let encoder: PromptEncoder & TextEncoder;
let planner: BatchPlanner;
let narrowPlanner: BatchPlanner;
let groups: Queue;
let federalist: string;
let greene: string;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url, { maxRetriesPerRequest: null });
  folder = await mkdtemp(join(tmpdir(), 'planner-'));
  model = await GgufModel.open(join(root, 'models/smollm2-135m-instruct.q4_1.gguf'));
  blobs = new FileSystemBlobStore(folder);
  batches = new RedisBatchStore(redis, RETENTION_SECONDS);
  files = new RedisFileStore(redis);
  results = new RedisResultStore(redis);
  cancellations = new Cancellations(redis);
  jobs = new BatchJobs(redis);
  const ends = new TokenEnds(model.tokenizer);
  encoder = {
    vocabularySize: model.tokenizer.vocabularySize,
    contextLength: model.hyperparameters.contextLength,
    encode: async (messages) => Int32Array.from(encodeWhole(messages)),
    encodeText: async (text) => Int32Array.from(model.tokenizer.encode(text)),
    tokenEnds: async (text) => ends.of(text),
  };
  const options = {
    model: MODEL,
    compression: { policy: 'kvmerger', budget: 0.35 },
    maxLineBytes: 100_000,
    maxLines: 200,
  };
  planner = new BatchPlanner(batches, files, results, blobs, jobs, encoder, options);
  narrowPlanner = new BatchPlanner(batches, files, results, blobs, jobs, encoder, { ...options, windowTokens: 6000 });
  groups = new Queue(groupQueue(MODEL), { connection: redis, prefix: QUEUE_PREFIX });
  federalist = await readFile(join(root, 'examples/documents/federalist_51.txt'), 'utf8');
  greene = await readFile(join(root, 'examples/documents/scotus_greene_v_fisher.txt'), 'utf8');
});
afterAll(async () => {
  await groups?.close();
  await jobs?.close();
  await results?.close();
  await cancellations?.close();
  redis?.disconnect();
  await model?.close();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => redis.flushall());

const encodeWhole = (messages: readonly { role: string; content: string }[]): number[] =>
  model.chatTemplate.encodeChat(messages, { addGenerationPrompt: true });

const store = async (content: string | Buffer, purpose: FilePurpose = 'user_data'): Promise<string> => {
  const id = newFileId();
  const blobKey = fileBlobKey(id);
  const { bytes, sha256 } = await blobs.put(blobKey, content);
  await files.create({ id, filename: 'f', purpose, bytes, created_at: 1, blobKey, sha256 });
  return id;
};

const newBatch = async (lines: readonly object[] | string, change: Partial<BatchRecord> = {}): Promise<BatchRecord> => {
  const content = typeof lines === 'string' ? lines : lines.map((line) => JSON.stringify(line)).join('\n');
  const batch: BatchRecord = {
    id: newBatchId(),
    endpoint: '/v1/chat/completions',
    input_file_id: await store(content, 'batch'),
    completion_window: '24h',
    status: 'validating',
    created_at: 1,
    ...change,
  };
  await batches.create(batch);
  return batch;
};

const line = (customId: string, content: unknown, change: object = {}, system?: string): object => ({
  custom_id: customId,
  method: 'POST',
  url: '/v1/chat/completions',
  body: {
    model: MODEL,
    messages: [...(system ? [{ role: 'system', content: system }] : []), { role: 'user', content }],
    max_tokens: 10,
    ...change,
  },
});

const plansOf = async (batchId: string): Promise<GroupPlan[]> => {
  const plans: GroupPlan[] = [];
  for (let group = 0; (await blobs.size(groupPlanKey(batchId, group))) !== undefined; group++) {
    plans.push(JSON.parse((await blobs.read(groupPlanKey(batchId, group))).toString()));
  }
  return plans;
};
const customIds = (plans: GroupPlan[]): string[][] =>
  plans.map(({ items }) => items.map(({ customId }) => customId)).sort((a, b) => (a[0]! < b[0]! ? -1 : 1));
const groupJobs = async (): Promise<string[]> =>
  (await groups.getJobs(['prioritized', 'waiting', 'delayed'])).map((job) => job.id ?? '').sort();

/** A system prompt of some 300 tokens. */
const SYSTEM = 'You read documents with care and answer briefly. '.repeat(30);

describe('BatchPlanner', () => {
  it('groups items by document, however the document comes', async () => {
    const fileId = await store(federalist);
    const file = { type: 'file', file: { file_id: fileId } };
    const text = (value: string) => ({ type: 'text', text: value });
    const batch = await newBatch([
      line('file-1', [file, text('What is it about?')]),
      line('text-1', `${greene}\n\nWho sued?`),
      line('file-2', [file, text('Who wrote it?')]),
      line('behind-system-1', `${federalist}\n\nWhy?`, {}, SYSTEM),
      line('text-2', `${greene}\n\nWho won?`),
      line('behind-system-2', `${greene}\n\nWhy?`, {}, SYSTEM),
      line('behind-system-3', `${federalist}\n\nHow?`, {}, SYSTEM),
      line('behind-system-4', `${greene}\n\nHow?`, {}, SYSTEM),
      // The same text as the file: it shares the file's cache.
      line('as-text', `${federalist}\n\nWhere?`),
      line('inline', [
        { type: 'file', file: { file_data: Buffer.from(federalist).toString('base64') } },
        text('When?'),
      ]),
      line('alone', 'Say hello.'),
    ]);
    await planner.plan(batch.id);
    const plans = await plansOf(batch.id);
    expect(customIds(plans)).toEqual([
      ['alone'],
      ['behind-system-1', 'behind-system-3'],
      ['behind-system-2', 'behind-system-4'],
      ['file-1', 'file-2', 'as-text', 'inline'],
      ['text-1', 'text-2'],
    ]);
    expect((await files.withdraw(fileId))?.heldBy).toEqual([batch.id]);
    for (const { prefix, items, compression } of plans) {
      for (const { customId, suffix, request } of items) {
        const whole = [...prefix, ...suffix];
        expect(suffix.length).toBeGreaterThan(0);
        expect(request).toEqual({ model: MODEL, max_tokens: 10 });
        if (customId === 'file-1') {
          expect(whole).toEqual(encodeWhole([{ role: 'user', content: `${federalist}\n\nWhat is it about?` }]));
        }
        if (customId === 'behind-system-4') {
          const content = `${greene}\n\nHow?`;
          expect(whole).toEqual(
            encodeWhole([
              { role: 'system', content: SYSTEM },
              { role: 'user', content },
            ]),
          );
        }
      }
      const alone = items[0]?.customId === 'alone';
      expect(compression).toEqual(
        alone
          ? { policy: 'full', budget: 1, questions: 'seen', reading: 'exact' }
          : { policy: 'kvmerger', budget: 0.35, questions: 'seen', reading: 'exact' },
      );
    }
    expect((await batches.get(batch.id))?.status).toBe('in_progress');
    expect(await results.counts(batch.id)).toEqual({ total: 11, completed: 0, failed: 0 });
    expect(await groupJobs()).toEqual(plans.map((_, group) => `${batch.id}-${group}`).sort());
  });

  it('groups the prompts of text completions, whichever lines they come in', async () => {
    const textLine = (customId: string, prompt: unknown, change: object = {}): object => ({
      custom_id: customId,
      method: 'POST',
      url: '/v1/completions',
      body: { model: MODEL, prompt, stream: false, ...change },
    });
    const ids = [...(await encoder.encodeText(`${greene}\n\nIn short:`))];
    const batch = await newBatch(
      [
        textLine('one', `${federalist}\n\nIn short:`),
        textLine('several', [`${federalist}\n\nWritten by`, `${greene}\n\nSued by`, 'Once upon a time']),
        textLine('ids', ids, { logprobs: 2, max_tokens: 3 }),
        textLine('unknown token', [2 ** 32 + 5, 5]),
        textLine('streamed', 'Once upon', { stream: true }),
        line('a chat', 'Hello'),
      ],
      { endpoint: '/v1/completions' },
    );
    await planner.plan(batch.id);
    const plans = await plansOf(batch.id);
    const prompts = plans.map(({ items }) =>
      items.map(({ customId, prompt }) => [customId, prompt?.number, prompt?.of]),
    );
    expect(prompts.map((group) => group.map((prompt) => prompt.join(' ')).join(', ')).sort()).toEqual([
      'one 0 1, several 0 3',
      'several 1 3, ids 0 1',
      'several 2 3',
    ]);
    const items = plans.flatMap(({ prefix, items }) =>
      items.map((item) => ({ ...item, whole: [...prefix, ...item.suffix] })),
    );
    expect(items.find(({ customId }) => customId === 'ids')).toMatchObject({
      whole: ids,
      request: { model: MODEL, max_tokens: 3, logprobs: true, top_logprobs: 2 },
    });
    expect(items.find(({ customId }) => customId === 'one')?.request).toEqual({ model: MODEL, max_tokens: 16 });
    const refusals = await Promise.all(
      [3, 4, 5].map(async (index) => (await results.get(batch.id, index))?.response?.body),
    );
    expect(refusals).toMatchObject([
      { error: { param: 'prompt', code: 'invalid_value' } },
      { error: { param: 'stream', code: 'invalid_value' } },
      { error: { param: 'url', code: 'invalid_url', message: expect.stringContaining('/v1/completions') } },
    ]);
    expect(await results.counts(batch.id)).toEqual({ total: 6, completed: 0, failed: 3 });
  });

  it('does not mix what asks for different caches, and completes what is asked for in part', async () => {
    const content = (question: string) => `${federalist}\n\n${question}`;
    const batch = await newBatch(
      [
        line('batch-1', content('Who?')),
        line('batch-2', content('What?')),
        line('budget', content('Why?'), { compression: { budget: 0.2 } }),
        line('policy', content('How?'), { compression: { policy: 'kvmerger' } }),
        line('full', content('When?'), { compression: { policy: 'full' } }),
        line('same', content('Where?'), { compression: { policy: 'h2o', budget: 0.5 } }),
        line('merging', content('Whose?'), { compression: { reading: 'merging' } }),
      ],
      { compression: { policy: 'h2o', budget: 0.5 } },
    );
    await planner.plan(batch.id);
    const plans = await plansOf(batch.id);
    const asked = Object.fromEntries(plans.map(({ items, compression }) => [items[0]?.customId, compression]));
    expect(customIds(plans)).toEqual([['batch-1', 'batch-2', 'same'], ['budget'], ['full'], ['merging'], ['policy']]);
    expect(asked).toEqual({
      'batch-1': { policy: 'h2o', budget: 0.5, questions: 'seen', reading: 'exact' },
      budget: { policy: 'h2o', budget: 0.2, questions: 'seen', reading: 'exact' },
      policy: { policy: 'kvmerger', budget: 0.5, questions: 'seen', reading: 'exact' },
      full: { policy: 'full', budget: 1, questions: 'seen', reading: 'exact' },
      merging: { policy: 'h2o', budget: 0.5, questions: 'seen', reading: 'merging' },
    });
  });

  it('refuses documents that cannot be read, the rest goes on', async () => {
    const part = (fileId: string) => [
      { type: 'text', text: 'Read:' },
      { type: 'file', file: { file_id: fileId } },
    ];
    const batch = await newBatch([
      line('empty', part(await store(''))),
      line('missing', part('file-none')),
      line('batch', part(await store('{}', 'batch'))),
      line('latin-1', part(await store(Buffer.from('caf\xe9', 'latin1')))),
      line('utf-16', part(await store(Buffer.from(federalist, 'utf16le')))),
      line('nul', part(await store('a\0b'))),
      line('huge', part(await store('x'.repeat(8192 * 256 + 1)))),
      line('long', part(await store(federalist.repeat(4)))),
      line('fine', part(await store(federalist))),
    ]);
    await planner.plan(batch.id);
    expect(customIds(await plansOf(batch.id))).toEqual([['fine']]);
    const bodies: unknown[] = [];
    for (let i = 0; i < 8; i++) bodies.push((await results.get(batch.id, i))?.response?.body);
    const param = 'messages[0].content[1].file.file_id';
    expect(bodies).toMatchObject([
      { error: { code: 'empty_file', param } },
      { error: { code: 'file_not_found', param } },
      { error: { code: 'invalid_file_purpose', param } },
      { error: { code: 'invalid_encoding', param } },
      { error: { code: 'invalid_encoding', param } },
      { error: { code: 'invalid_encoding', param } },
      { error: { code: 'context_length_exceeded', param } },
      { error: { code: 'context_length_exceeded', param: 'messages' } },
    ]);
    expect(await results.counts(batch.id)).toEqual({ total: 9, completed: 0, failed: 8 });
  });

  it('refuses a line nested to overflow the stack, the rest goes on', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    const batch = await newBatch(
      [
        JSON.stringify(line('fine', 'Hello')),
        JSON.stringify(line('deep', 'MESSAGE')).replace('"MESSAGE"', deep),
        deep,
      ].join('\n'),
    );
    await planner.plan(batch.id);
    expect(customIds(await plansOf(batch.id))).toEqual([['fine']]);
    expect(await results.get(batch.id, 1)).toMatchObject({
      custom_id: 'deep',
      response: { status_code: 400, body: { error: { code: 'json_too_deep' } } },
    });
    expect(await results.get(batch.id, 2)).toMatchObject({ error: { code: 'invalid_json_line', line: 3 } });
  });

  it('gives the same plans and jobs when it is run again, wherever the first run ended', async () => {
    const lines = [
      line('a', `${federalist}\n\nWho?`),
      line('b', `${federalist}\n\nWhy?`),
      line('c', 'Hello'),
      { bad: 1 },
    ];
    const whole = await newBatch(lines);
    await planner.plan(whole.id);
    const expected = await plansOf(whole.id);
    const steps = 12; // more than there are aborts to survive
    for (let step = 1; step <= steps; step++) {
      await redis.flushall();
      const batch = await newBatch(lines);
      await planner.plan(batch.id, abortAfter(step)).catch((error) => expect(error).toBe('killed'));
      await planner.plan(batch.id);
      await planner.plan(batch.id);
      expect((await plansOf(batch.id)).map((plan) => ({ ...plan, batchId: '' }))).toEqual(
        expected.map((plan) => ({ ...plan, batchId: '' })),
      );
      expect(await groupJobs()).toEqual(expected.map((_, group) => `${batch.id}-${group}`));
      expect(await results.counts(batch.id)).toEqual({ total: 4, completed: 0, failed: 1 });
    }
  });

  it('groups the same in a batch that does not fit in memory', async () => {
    const lines = ['Who?', 'Why?', 'How?', 'When?'].flatMap((question, q) => [
      line(`federalist-${q}`, `${federalist}\n\n${question}`, {}, SYSTEM),
      line(`greene-${q}`, `${greene}\n\n${question}`, {}, SYSTEM),
    ]);
    const wide = await newBatch(lines);
    await planner.plan(wide.id);
    const narrow = await newBatch(lines);
    await narrowPlanner.plan(narrow.id);
    const expected = ['federalist', 'greene'].map((name) => [0, 1, 2, 3].map((q) => `${name}-${q}`));
    expect(customIds(await plansOf(wide.id))).toEqual(expected);
    expect(customIds(await plansOf(narrow.id))).toEqual(expected);
  });

  it('fails a batch that is no batch', async () => {
    const failed = async (batch: BatchRecord) => {
      await planner.plan(batch.id);
      const { status, errors } = (await batches.get(batch.id))!;
      expect(status).toBe('failed');
      return errors?.[0]?.code;
    };
    expect(await failed(await newBatch('\n\n'))).toBe('empty_file');
    expect(await failed(await newBatch('{}\n'.repeat(201)))).toBe('too_many_tasks');
    expect(await failed(await newBatch('{}', { endpoint: '/v1/embeddings' }))).toBe('invalid_endpoint');
    expect(await failed(await newBatch('{}', { input_file_id: 'file-none' }))).toBe('file_not_found');
    expect(await batches.unfinished()).toEqual([]);
  });

  it('fails a batch that it cannot plan in its number of tries, outages not counted, and leaves no plans', async () => {
    const errors = [new Error('Command timed out'), Object.assign(new Error('EIO'), { errno: -5 })];
    let encoded = 0; // the last of the three items fails in every run
    const failing: PromptEncoder & TextEncoder = {
      ...encoder,
      encode: async (messages) => {
        if (++encoded % 3 !== 0) return Int32Array.from(encodeWhole(messages));
        throw errors.shift() ?? new RangeError('Maximum call stack size exceeded');
      },
    };
    const options = { model: MODEL, compression: { policy: 'full', budget: 1 }, maxLineBytes: 1000, maxLines: 9 };
    const doomed = new BatchPlanner(batches, files, results, blobs, jobs, failing, {
      ...options,
      maxAttempts: 3,
      windowTokens: 1,
    });
    const batch = await newBatch([line('a', 'Hello'), line('b', 'Bye'), line('c', 'Why?'), { bad: 1 }]);
    for (const message of ['Command timed out', 'EIO', 'Maximum call', 'Maximum call']) {
      await expect(doomed.plan(batch.id)).rejects.toThrow(message);
      expect((await batches.get(batch.id))?.status).toBe('validating');
    }
    expect(await plansOf(batch.id)).toHaveLength(1);
    await doomed.plan(batch.id);
    expect(await batches.get(batch.id)).toMatchObject({
      status: 'failed',
      failed_at: expect.any(Number),
      errors: [{ code: 'planning_failed', message: expect.stringContaining('3 tries'), param: null, line: null }],
    });
    expect(await plansOf(batch.id)).toEqual([]);
    expect(await batches.unfinished()).toEqual([]);
    for (const key of await redis.keys(`longhaul:results:*`)) expect(await redis.ttl(key)).toBeGreaterThan(0);
  });
});

describe('BatchReconciler and BatchFinalizer', () => {
  it('bring a batch to its end whatever got lost, once', async () => {
    const reconciler = new BatchReconciler(batches, results, blobs, jobs, cancellations);
    const finalizer = new BatchFinalizer(batches, files, results, blobs, jobs, RETENTION_SECONDS);
    const planning = new Queue('planning', { connection: redis, prefix: QUEUE_PREFIX });
    const finalizing = new Queue('finalizing', { connection: redis, prefix: QUEUE_PREFIX });
    const batch = await newBatch([line('a', 'Hello'), line('b', 'Bye'), { bad: 1 }], {
      output_expires_after: { anchor: 'created_at', seconds: 3600 },
    });

    await reconciler.reconcile();
    expect(await planning.getJob(batch.id)).toBeDefined();
    await planner.plan(batch.id);

    await groups.obliterate({ force: true });
    await reconciler.reconcile(); // sees how far it is
    await reconciler.reconcile(); // sees that it does not move
    expect(await groupJobs()).toEqual([`${batch.id}-0`, `${batch.id}-1`]);

    // With work in the queue it does not look at every group; without, it does.
    await (await groups.getJob(`${batch.id}-1`))!.remove();
    await reconciler.reconcile();
    expect(await groupJobs()).toEqual([`${batch.id}-0`]);
    await (await groups.getJob(`${batch.id}-0`))!.remove();
    await reconciler.reconcile();
    expect(await groupJobs()).toEqual([`${batch.id}-0`, `${batch.id}-1`]);

    await finalizer.finalize(batch.id);
    expect((await batches.get(batch.id))?.status).toBe('in_progress');
    await results.record(batch.id, 1, answeredItem('b', { said: 'bye' }));
    await results.record(batch.id, 0, answeredItem('a', { said: 'hello' }));
    expect(await finalizing.getJob(batch.id)).toBeUndefined();
    await reconciler.reconcile();
    expect(await finalizing.getJob(batch.id)).toBeDefined();

    await Promise.all([finalizer.finalize(batch.id), finalizer.finalize(batch.id)]);
    await finalizer.finalize(batch.id);
    const ended = await batches.get(batch.id);
    expect(ended).toMatchObject({ status: 'completed', completed_at: expect.any(Number) });
    const output = await files.get(ended!.output_file_id!);
    const errors = await files.get(ended!.error_file_id!);
    expect(
      (await blobs.read(output!.blobKey))
        .toString()
        .trim()
        .split('\n')
        .map((text) => JSON.parse(text)),
    ).toMatchObject([
      { custom_id: 'a', response: { status_code: 200, body: { said: 'hello' } }, error: null },
      { custom_id: 'b', response: { status_code: 200, body: { said: 'bye' } }, error: null },
    ]);
    expect(JSON.parse((await blobs.read(errors!.blobKey)).toString())).toMatchObject({ error: { line: 3 } });
    expect(output).toMatchObject({ purpose: 'batch_output', bytes: await blobs.size(output!.blobKey) });
    for (const file of [output!, errors!]) expect(file.expires_at! - file.created_at).toBe(3600);
    expect(await plansOf(batch.id)).toEqual([]);
    expect(await batches.unfinished()).toEqual([]);
    await planning.close();
    await finalizing.close();
  });

  it('queue a group again whose job failed', async () => {
    const batch = await newBatch([line('a', 'Hello')]);
    await planner.plan(batch.id);
    const { Worker } = await import('bullmq');
    const worker = new Worker(groups.name, undefined, { connection: redis, prefix: QUEUE_PREFIX });
    const job = (await worker.getNextJob('token'))!;
    job.opts.attempts = 1;
    await job.moveToFailed(new Error('gone'), 'token');
    expect(await job.isFailed()).toBe(true);
    await jobs.answerGroup(MODEL, batch.id, 0);
    expect(await job.isFailed()).toBe(false);
    expect(await groupJobs()).toEqual([`${batch.id}-0`]);
    await worker.close();
  });
});

/** Aborted at the `count`-th look at it. */
function abortAfter(count: number): AbortSignal {
  let looks = 0;
  const { signal } = new AbortController();
  signal.throwIfAborted = () => {
    if (++looks >= count) throw 'killed';
  };
  return signal;
}
