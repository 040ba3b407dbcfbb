import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BatchStores, encoderOf } from '../../../test/batch-stores.js';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import type { BatchEndpoint } from './batch-endpoint.js';
import type { GroupPlan } from './group-plan.js';

/** The tiny model's tokens are hardly longer than characters. */
const CONTEXT = 2048;
const MODEL = 'tiny';
const CHAT = '/v1/chat/completions';

let stores: BatchStores;
let model: GgufModel;
let file: string;

beforeAll(async () => {
  stores = await BatchStores.open();
  writeTinyGguf(join(stores.folder, 'tiny.gguf'), { contextLength: CONTEXT });
  model = await GgufModel.open(join(stores.folder, 'tiny.gguf'));
  file = await stores.fileOf(DOCUMENT);
});
afterAll(async () => {
  await model?.close();
  await stores?.close();
});

/** Some 5,000 tokens: three parts. */
const DOCUMENT = Array.from(
  { length: 70 },
  (_, i) => `Clause ${i} of this lease binds the tenant. It ends in ${i} days.`,
).join('\n\n');

const planned = async (bodies: readonly object[], windowTokens?: number, endpoint: BatchEndpoint = CHAT) => {
  const lines = bodies.map((body, i) => {
    const whole = { model: MODEL, max_tokens: 16, ...body };
    return { custom_id: `item-${i}`, method: 'POST', url: endpoint, body: whole };
  });
  const { id } = await stores.batchOf(lines, { endpoint });
  const options = {
    model: MODEL,
    compression: { policy: 'full', budget: 1 },
    maxLineBytes: 100_000,
    maxLines: 200,
    ...(windowTokens && { windowTokens }),
  };
  await stores.planner(encoderOf(model), options).plan(id);
  const plans = await stores.plansOf(id);
  for (const { prefix, items } of plans) {
    for (const { suffix, request } of items) {
      expect(
        prefix.length + suffix.length + (request.max_completion_tokens ?? request.max_tokens ?? 1),
      ).toBeLessThanOrEqual(CONTEXT);
    }
  }
  return { id, plans };
};
const textOf = ({ prefix }: GroupPlan): string => model.tokenizer.decode(prefix);

const asked = (question: string, change: object = {}) => ({
  messages: [
    {
      role: 'user',
      content: [
        { type: 'file', file: { file_id: file } },
        { type: 'text', text: question },
      ],
    },
  ],
  ...change,
});
const QUESTIONS = ['Who pays?', 'When does it end, and what is to be done then?', 'What binds the tenant?'.repeat(3)];

describe('a document longer than the context', () => {
  it('is refused unless the line says otherwise', async () => {
    const { id, plans } = await planned([asked('Who?'), asked('Who?', { truncation: 'error' })]);
    expect(plans).toEqual([]);
    for (const index of [0, 1]) {
      expect((await stores.results.get(id, index))?.response).toMatchObject({
        status_code: 400,
        body: { error: { code: 'context_length_exceeded' } },
      });
    }
  });

  it('is cut in the middle alike for all its questions, read once', async () => {
    const { plans } = await planned(QUESTIONS.map((question) => asked(question, { truncation: 'middle' })));
    expect(plans).toHaveLength(1);
    const [plan] = plans as [GroupPlan];
    expect(textOf(plan)).toContain(DOCUMENT.slice(0, 600));
    expect(textOf(plan)).toContain(DOCUMENT.slice(-600));
    const tokens = model.tokenizer.encode(DOCUMENT).length;
    for (const { truncation } of plan.items) {
      expect(truncation).toEqual({ mode: 'middle', tokens, kept: plan.items[0]!.truncation!.kept });
      expect(truncation!.kept).toBeGreaterThan(CONTEXT * 0.8);
    }
  });

  it.each([['in one window'], ['in windows of two prompts']])(
    'is read part by part, each part once for all questions, %s',
    async (windows) => {
      const bodies = QUESTIONS.map((question) => asked(question, { truncation: 'map_reduce', n: 2, logprobs: true }));
      const { plans } = await planned(bodies, windows === 'in one window' ? undefined : 2 * CONTEXT);
      expect(plans).toHaveLength(3);
      for (const [part, plan] of plans.entries()) {
        expect(plan.items.map(({ index, part: each }) => [index, each?.index, each?.of])).toEqual([
          [0, part, 3],
          [1, part, 3],
          [2, part, 3],
        ]);
        expect(textOf(plan)).toContain(`(This is part ${part + 1} of 3 of a longer document.`);
        for (const { request } of plan.items) expect(request).toEqual({ model: MODEL, max_completion_tokens: 16 });
        expect(plan.items[0]!.part!.combination.request).toMatchObject({ n: 2, logprobs: true, max_tokens: 16 });
      }
      const read = plans.map((plan) => textOf(plan)).join('');
      for (const clause of DOCUMENT.split('\n\n')) expect(read).toContain(clause);
      const kept = plans.map(({ items }) => items[0]!.truncation!.kept).reduce((sum, tokens) => sum + tokens);
      expect(Math.abs(kept - plans[0]!.items[0]!.truncation!.tokens)).toBeLessThan(10);
    },
  );

  it('may stand in one text with its question', async () => {
    const bodies = QUESTIONS.map((question) => ({
      messages: [{ role: 'user', content: `${DOCUMENT}\n\n${question}` }],
      truncation: 'map_reduce',
    }));
    expect((await planned(bodies)).plans).toHaveLength(3);
    const middle = bodies.map((body) => ({ ...body, truncation: 'middle' }));
    expect((await planned(middle)).plans).toHaveLength(1);
  });

  it('costs short questions little where another asks for a long answer', async () => {
    const bodies = [asked('Who?', { truncation: 'middle' }), asked('Who?', { truncation: 'middle', max_tokens: 900 })];
    const { plans } = await planned([...bodies, asked('When?', { truncation: 'middle' })]);
    expect(plans.map(({ items }) => items.map(({ index }) => index)).sort()).toEqual([[0, 2], [1]]);
  });

  it('is refused where there is no question, or no room for it', async () => {
    const alone = { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: file } }] }] };
    const { id, plans } = await planned([
      { ...alone, truncation: 'map_reduce' },
      asked('Who?', { truncation: 'map_reduce', max_tokens: CONTEXT - 300 }),
      asked('Who?', { truncation: 'both' }),
    ]);
    expect(plans).toEqual([]);
    const errors = await Promise.all(
      [0, 1, 2].map(async (index) => (await stores.results.get(id, index))?.response?.body),
    );
    expect(errors).toMatchObject([
      { error: { param: 'messages', code: 'invalid_value', message: expect.stringContaining('needs a question') } },
      { error: { param: 'messages', code: 'context_length_exceeded' } },
      { error: { param: 'truncation', code: 'invalid_value', message: expect.stringContaining('map_reduce') } },
    ]);
  });

  it('does not change what fits', async () => {
    const content = [
      { type: 'text', text: 'A short one.' },
      { type: 'text', text: 'Who?' },
    ];
    for (const truncation of ['middle', 'map_reduce']) {
      const { plans } = await planned([{ messages: [{ role: 'user', content }], truncation }]);
      expect(plans[0]!.items[0]).not.toHaveProperty('truncation');
      expect(plans[0]!.items[0]).not.toHaveProperty('part');
    }
  });

  it('may be a prompt of a text completion, cut in the middle', async () => {
    const ids = model.tokenizer.encode(DOCUMENT).reverse();
    const prompt = QUESTIONS.map((question) => `${DOCUMENT}\n\n${question}`);
    const { id, plans } = await planned(
      [
        { prompt, truncation: 'middle' },
        { prompt: ids, truncation: 'middle' },
        { prompt, truncation: 'map_reduce' },
        { prompt },
      ],
      undefined,
      '/v1/completions',
    );
    const cut = plans.find(({ items }) => items.length === 3)!;
    expect(cut.items.map(({ index, prompt: each }) => [index, each?.number])).toEqual([
      [0, 0],
      [0, 1],
      [0, 2],
    ]);
    for (const { items } of plans) for (const item of items) expect(item.truncation?.mode).toBe('middle');
    const {
      prefix,
      items: [whole],
    } = plans.find(({ items }) => items.length === 1)!;
    const all = [...prefix, ...whole!.suffix];
    const half = Math.ceil(all.length / 2);
    expect(all).toEqual([...ids.slice(0, half), ...ids.slice(half - all.length)]);
    expect((await stores.results.get(id, 2))?.response?.body).toMatchObject({
      error: { param: 'truncation', code: 'invalid_value' },
    });
    expect((await stores.results.get(id, 3))?.response?.body).toMatchObject({
      error: { code: 'context_length_exceeded' },
    });
  });
});
