import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { BatchStores, chatLine, encoderOf } from '../../../test/batch-stores.js';
import type { BatchPlanner } from './batch-planner.js';
import type { BatchRecord } from './batch-record.js';
import type { GroupPlan } from './group-plan.js';
import type { PromptEncoder } from './prompt.js';
import type { TextEncoder } from './text-plan.js';

const root = join(import.meta.dirname, '../../..');
const MODEL = 'smollm2';

let stores: BatchStores;
let model: GgufModel;
let encoder: PromptEncoder & TextEncoder;
let planner: BatchPlanner;
let narrowPlanner: BatchPlanner;
let federalist: string;
let greene: string;

beforeAll(async () => {
  stores = await BatchStores.open();
  model = await GgufModel.open(join(root, 'models/smollm2-135m-instruct.q4_1.gguf'));
  encoder = encoderOf(model);
  const options = {
    model: MODEL,
    compression: { policy: 'kvmerger', budget: 0.35 },
    maxLineBytes: 100_000,
    maxLines: 200,
  };
  planner = stores.planner(encoder, options);
  narrowPlanner = stores.planner(encoder, { ...options, windowTokens: 6000 });
  federalist = await readFile(join(root, 'examples/documents/federalist_51.txt'), 'utf8');
  greene = await readFile(join(root, 'examples/documents/scotus_greene_v_fisher.txt'), 'utf8');
});
afterAll(async () => {
  await model?.close();
  await stores?.close();
});
beforeEach(() => stores.redis.flushall());

const encodeWhole = (messages: readonly { role: string; content: string }[]): number[] =>
  model.chatTemplate.encodeChat(messages, { addGenerationPrompt: true });

const line = (customId: string, content: unknown, change: object = {}): object =>
  chatLine(MODEL, customId, content, change);
const lineBehindSystem = (customId: string, content: string): object => {
  const messages = [
    { role: 'system', content: SYSTEM },
    { role: 'user', content },
  ];
  return line(customId, content, { messages });
};

const customIds = (plans: GroupPlan[]): string[][] =>
  plans.map(({ items }) => items.map(({ customId }) => customId)).sort((a, b) => (a[0]! < b[0]! ? -1 : 1));

/** A system prompt of some 300 tokens. */
const SYSTEM = 'You read documents with care and answer briefly. '.repeat(30);

describe('BatchPlanner', () => {
  it('groups items by document, however the document comes', async () => {
    const fileId = await stores.fileOf(federalist);
    const file = { type: 'file', file: { file_id: fileId } };
    const text = (value: string) => ({ type: 'text', text: value });
    const batch = await stores.batchOf([
      line('file-1', [file, text('What is it about?')]),
      line('text-1', `${greene}\n\nWho sued?`),
      line('file-2', [file, text('Who wrote it?')]),
      lineBehindSystem('behind-system-1', `${federalist}\n\nWhy?`),
      line('text-2', `${greene}\n\nWho won?`),
      lineBehindSystem('behind-system-2', `${greene}\n\nWhy?`),
      lineBehindSystem('behind-system-3', `${federalist}\n\nHow?`),
      lineBehindSystem('behind-system-4', `${greene}\n\nHow?`),
      // The same text as the file: it shares the file's cache.
      line('as-text', `${federalist}\n\nWhere?`),
      line('inline', [
        { type: 'file', file: { file_data: Buffer.from(federalist).toString('base64') } },
        text('When?'),
      ]),
      line('alone', 'Say hello.'),
    ]);
    await planner.plan(batch.id);
    const plans = await stores.plansOf(batch.id);
    expect(customIds(plans)).toEqual([
      ['alone'],
      ['behind-system-1', 'behind-system-3'],
      ['behind-system-2', 'behind-system-4'],
      ['file-1', 'file-2', 'as-text', 'inline'],
      ['text-1', 'text-2'],
    ]);
    expect((await stores.files.withdraw(fileId))?.heldBy).toEqual([batch.id]);
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
    expect((await stores.batches.get(batch.id))?.status).toBe('in_progress');
    expect(await stores.results.counts(batch.id)).toEqual({ total: 11, completed: 0, failed: 0 });
    expect(await stores.groupJobs(MODEL)).toEqual(plans.map((_, group) => `${batch.id}-${group}`).sort());
  });

  it('groups the prompts of text completions, whichever lines they come in', async () => {
    const textLine = (customId: string, prompt: unknown, change: object = {}): object => ({
      custom_id: customId,
      method: 'POST',
      url: '/v1/completions',
      body: { model: MODEL, prompt, stream: false, ...change },
    });
    const ids = [...(await encoder.encodeText(`${greene}\n\nIn short:`))];
    const batch = await stores.batchOf(
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
    const plans = await stores.plansOf(batch.id);
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
      [3, 4, 5].map(async (index) => (await stores.results.get(batch.id, index))?.response?.body),
    );
    expect(refusals).toMatchObject([
      { error: { param: 'prompt', code: 'invalid_value' } },
      { error: { param: 'stream', code: 'invalid_value' } },
      { error: { param: 'url', code: 'invalid_url', message: expect.stringContaining('/v1/completions') } },
    ]);
    expect(await stores.results.counts(batch.id)).toEqual({ total: 6, completed: 0, failed: 3 });
  });

  it('does not mix what asks for different caches, and completes what is asked for in part', async () => {
    const content = (question: string) => `${federalist}\n\n${question}`;
    const batch = await stores.batchOf(
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
    const plans = await stores.plansOf(batch.id);
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
    const batch = await stores.batchOf([
      line('empty', part(await stores.fileOf(''))),
      line('missing', part('file-none')),
      line('batch', part(await stores.fileOf('{}', 'batch'))),
      line('latin-1', part(await stores.fileOf(Buffer.from('caf\xe9', 'latin1')))),
      line('utf-16', part(await stores.fileOf(Buffer.from(federalist, 'utf16le')))),
      line('nul', part(await stores.fileOf('a\0b'))),
      line('huge', part(await stores.fileOf('x'.repeat(8192 * 256 + 1)))),
      line('long', part(await stores.fileOf(federalist.repeat(4)))),
      line('fine', part(await stores.fileOf(federalist))),
    ]);
    await planner.plan(batch.id);
    expect(customIds(await stores.plansOf(batch.id))).toEqual([['fine']]);
    const bodies: unknown[] = [];
    for (let i = 0; i < 8; i++) bodies.push((await stores.results.get(batch.id, i))?.response?.body);
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
    expect(await stores.results.counts(batch.id)).toEqual({ total: 9, completed: 0, failed: 8 });
  });

  it('refuses a line nested to overflow the stack, the rest goes on', async () => {
    const deep = '['.repeat(20_000) + ']'.repeat(20_000);
    const batch = await stores.batchOf(
      [
        JSON.stringify(line('fine', 'Hello')),
        JSON.stringify(line('deep', 'MESSAGE')).replace('"MESSAGE"', deep),
        deep,
      ].join('\n'),
    );
    await planner.plan(batch.id);
    expect(customIds(await stores.plansOf(batch.id))).toEqual([['fine']]);
    expect(await stores.results.get(batch.id, 1)).toMatchObject({
      custom_id: 'deep',
      response: { status_code: 400, body: { error: { code: 'json_too_deep' } } },
    });
    expect(await stores.results.get(batch.id, 2)).toMatchObject({ error: { code: 'invalid_json_line', line: 3 } });
  });

  it('gives the same plans and jobs when it is run again, wherever the first run ended', async () => {
    const lines = [
      line('a', `${federalist}\n\nWho?`),
      line('b', `${federalist}\n\nWhy?`),
      line('c', 'Hello'),
      { bad: 1 },
    ];
    const whole = await stores.batchOf(lines);
    await planner.plan(whole.id);
    const expected = await stores.plansOf(whole.id);
    const steps = 12; // more than there are aborts to survive
    for (let step = 1; step <= steps; step++) {
      await stores.redis.flushall();
      const batch = await stores.batchOf(lines);
      await planner.plan(batch.id, abortAfter(step)).catch((error) => expect(error).toBe('killed'));
      await planner.plan(batch.id);
      await planner.plan(batch.id);
      expect((await stores.plansOf(batch.id)).map((plan) => ({ ...plan, batchId: '' }))).toEqual(
        expected.map((plan) => ({ ...plan, batchId: '' })),
      );
      expect(await stores.groupJobs(MODEL)).toEqual(expected.map((_, group) => `${batch.id}-${group}`));
      expect(await stores.results.counts(batch.id)).toEqual({ total: 4, completed: 0, failed: 1 });
    }
  });

  it('groups the same in a batch that does not fit in memory', async () => {
    const lines = ['Who?', 'Why?', 'How?', 'When?'].flatMap((question, q) => [
      lineBehindSystem(`federalist-${q}`, `${federalist}\n\n${question}`),
      lineBehindSystem(`greene-${q}`, `${greene}\n\n${question}`),
    ]);
    const wide = await stores.batchOf(lines);
    await planner.plan(wide.id);
    const narrow = await stores.batchOf(lines);
    await narrowPlanner.plan(narrow.id);
    const expected = ['federalist', 'greene'].map((name) => [0, 1, 2, 3].map((q) => `${name}-${q}`));
    expect(customIds(await stores.plansOf(wide.id))).toEqual(expected);
    expect(customIds(await stores.plansOf(narrow.id))).toEqual(expected);
  });

  it('fails a batch that is no batch', async () => {
    const failed = async (batch: BatchRecord) => {
      await planner.plan(batch.id);
      const { status, errors } = (await stores.batches.get(batch.id))!;
      expect(status).toBe('failed');
      return errors?.[0]?.code;
    };
    expect(await failed(await stores.batchOf('\n\n'))).toBe('empty_file');
    expect(await failed(await stores.batchOf('{}\n'.repeat(201)))).toBe('too_many_tasks');
    expect(await failed(await stores.batchOf('{}', { endpoint: '/v1/embeddings' }))).toBe('invalid_endpoint');
    expect(await failed(await stores.batchOf('{}', { input_file_id: 'file-none' }))).toBe('file_not_found');
    expect(await stores.batches.unfinished()).toEqual([]);
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
    const doomed = stores.planner(failing, { ...options, maxAttempts: 3, windowTokens: 1 });
    const batch = await stores.batchOf([line('a', 'Hello'), line('b', 'Bye'), line('c', 'Why?'), { bad: 1 }]);
    for (const message of ['Command timed out', 'EIO', 'Maximum call', 'Maximum call']) {
      await expect(doomed.plan(batch.id)).rejects.toThrow(message);
      expect((await stores.batches.get(batch.id))?.status).toBe('validating');
    }
    expect(await stores.plansOf(batch.id)).toHaveLength(1);
    await doomed.plan(batch.id);
    expect(await stores.batches.get(batch.id)).toMatchObject({
      status: 'failed',
      failed_at: expect.any(Number),
      errors: [{ code: 'planning_failed', message: expect.stringContaining('3 tries'), param: null, line: null }],
    });
    expect(await stores.plansOf(batch.id)).toEqual([]);
    expect(await stores.batches.unfinished()).toEqual([]);
    for (const key of await stores.redis.keys(`longhaul:results:*`))
      expect(await stores.redis.ttl(key)).toBeGreaterThan(0);
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
