import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { policyNames } from '@app/kv-policy';
import { afterAll, beforeAll, beforeEach, describe, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { Engine } from './engine.js';
import { ContextOverflowError, EngineAbortedError, KvMemoryExceededError } from './engine-errors.js';
import type { Generation, PrefillRequest, SamplingOptions } from './engine-port.js';
import { type DocumentLease, type DocumentRequest, HeldDocuments } from './held-documents.js';
import { seededRandom } from './random.js';
import { planRead } from './read-plan.js';

const greedy: SamplingOptions = { temperature: 0, topP: 1, maxTokens: 6, stop: [], topLogprobs: 1 };

const folder = mkdtempSync(join(tmpdir(), 'longhaul-held-'));
const random = seededRandom(9);
const tokens = (count: number): number[] => Array.from({ length: count }, () => 3 + Math.floor(random() * 250));
const request = (ids: number[], more: Partial<DocumentRequest> = {}): DocumentRequest => ({
  tokens: ids,
  compression: { policy: 'kvmerger', budget: 0.5 },
  items: 4,
  ...more,
});

let engine: Engine;
let documents: HeldDocuments;
const events = { hit: vi.fn(), miss: vi.fn(), evicted: vi.fn() };

/** Peak of a document of 400 tokens under `kvmerger` at 0.5; the engine has room for three of them. */
let peakBytes: number;

beforeAll(async () => {
  const modelPath = join(folder, 'tiny.gguf');
  writeTinyGguf(modelPath, { contextLength: 2048 });
  const model = { layers: 2, kvHeads: 2, queryHeads: 4, headSize: 16, kvType: 'f32', compressThreads: 1 } as const;
  peakBytes = planRead(model, request(tokens(400))).peakBytes;
  const kvBytes = (4 / 3) * 3.5 * peakBytes;
  engine = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1, kvBytes });
  expect(Math.floor(engine.model.documentBytes / peakBytes)).toBe(3);
});
afterAll(async () => {
  await engine.close();
  rmSync(folder, { recursive: true, force: true });
});
beforeEach(() => {
  vi.restoreAllMocks();
  vi.clearAllMocks();
  documents = new HeldDocuments(engine, events);
});

const taken = (asked: DocumentRequest): DocumentLease => {
  const lease = documents.lease(asked);
  if (lease === undefined) throw new Error('it does not fit');
  return lease;
};
const read = async (asked: DocumentRequest): Promise<DocumentLease> => {
  const lease = taken(asked);
  await lease.cache();
  return lease;
};
const answer = async (lease: DocumentLease, suffix: number[]): Promise<Generation> =>
  engine.generate({ handle: (await lease.cache()).handle, suffix, sampling: greedy });

describe('what reading a document takes', () => {
  const questions = [tokens(9), tokens(20)];
  const cases = policyNames.flatMap((policy) =>
    ([0.35, 1] as const).flatMap((budget) =>
      (['exact', 'merging'] as const).map((reading) => ({ policy, budget, reading })),
    ),
  );
  test.each(cases)('is known before: $policy at $budget, $reading', async ({ policy, budget, reading }) => {
    const asked: PrefillRequest = { tokens: tokens(700), compression: { policy, budget }, reading, questions };
    const plan = planRead(engine.model, asked);
    const held = await engine.prefill(asked);
    expect(held.readingBytes).toBe(plan.readingBytes);
    expect(held.bytes).toBe(plan.heldBytes);
    await engine.release(held.handle);
  });
});

describe('held documents', () => {
  test('are read once, for groups at the same time and for those that come later', async () => {
    const prefill = vi.spyOn(engine, 'prefill');
    const asked = request(tokens(400));
    const [first, second] = [taken(asked), taken(asked)];
    expect([first.reused, second.reused]).toEqual([false, true]);
    const caches = await Promise.all([first.cache(), second.cache()]);
    expect(caches[1]).toEqual(caches[0]);
    const question = tokens(5);
    const answered = await answer(first, question);
    first.end();
    second.end();
    expect([documents.holds(asked), documents.holds(request(tokens(400)))]).toEqual([true, false]);
    const later = taken(asked);
    expect(later).toMatchObject({ reused: true, tokens: 400, key: documents.keyOf(asked) });
    expect((await answer(later, question)).logprobs).toEqual(answered.logprobs);
    expect(prefill).toHaveBeenCalledTimes(1);
    expect([events.hit.mock.calls.length, events.miss.mock.calls.length]).toEqual([2, 1]);
    prefill.mockRestore();
  });

  test('serve no request that would be read or compressed otherwise', async () => {
    const ids = tokens(300);
    const scored = { policy: 'snapkv', budget: 0.5 };
    const questions = [tokens(4), tokens(5)];
    (await read(request(ids))).end();
    (await read(request(ids, { compression: scored, questions }))).end();
    const others: Partial<DocumentRequest>[] = [
      { compression: { policy: 'kvmerger', budget: 0.51 } },
      { compression: { policy: 'h2o', budget: 0.5 } },
      { reading: 'merging' },
      { compression: scored },
      { compression: scored, questions: [tokens(4), tokens(5)] },
      { compression: scored, questions: questions.slice(1) },
      { tokens: [...ids.slice(0, -1), ids.at(-1)! + 1] },
    ];
    for (const other of others) {
      const lease = taken(request(ids, other));
      expect(lease.reused).toBe(false);
      lease.end();
    }
    expect(taken(request(ids, { compression: scored, questions })).reused).toBe(true);
    // Policies that do not score by questions keep the same whatever is asked.
    expect(taken(request(ids, { questions })).reused).toBe(true);
  });

  test('that keep everything serve every policy that does, under its name', async () => {
    const ids = tokens(300);
    await read(request(ids, { compression: { policy: 'full', budget: 1 } }));
    const compression = { policy: 'snapkv', budget: 1 };
    const lease = taken(request(ids, { compression, questions: [tokens(3)], reading: 'merging' }));
    expect(lease.reused).toBe(true);
    expect(await lease.cache()).toMatchObject({ ...compression, entries: 300 });
  });

  test('serve prompts that go on differently, where little is left to read with every item', async () => {
    const ids = tokens(400);
    (await read(request(ids))).end();
    expect(taken(request([...ids, ...tokens(20)])).tokens).toBe(400);
    // A chat's prefix may end before the held document does.
    const chat = { items: 1, following: [...ids.slice(380), ...tokens(30)] };
    expect(taken(request(ids.slice(0, 380), chat)).tokens).toBe(400);
    expect(taken(request([...ids, ...tokens(250)], { items: 1 })).tokens).toBe(400);
    const manyItems = taken(request([...ids, ...tokens(250)], { items: 8 }));
    expect(manyItems).toMatchObject({ reused: false, tokens: 650 });
  });

  test('wait where they do not fit, and push out first what was used least recently', async () => {
    const all = Array.from({ length: 7 }, () => request(tokens(400)));
    const leases = all.slice(0, 3).map(taken);
    expect(documents.lease(all[3]!)).toBeUndefined();
    expect(documents.bytes).toBe(3 * peakBytes);
    const room = documents.room();
    // Compressed, they leave room for others.
    const sizes = await Promise.all(leases.map(async (lease) => (await lease.cache()).bytes));
    await room;
    expect(documents.bytes).toBe(sizes.reduce((sum, bytes) => sum + bytes, 0));
    leases.push(await read(all[3]!), taken(all[4]!), taken(all[5]!));
    expect(documents.lease(all[6]!)).toBeUndefined();
    expect(events.evicted).not.toHaveBeenCalled();

    for (const used of [1, 0, 2, 3]) leases[used]!.end();
    taken(all[1]!).end();
    expect(documents.bytes).toBeGreaterThan(3 * peakBytes);
    taken(all[6]!);
    expect(documents.bytes).toBeLessThanOrEqual(documents.limitBytes);
    const kept = all.map((asked) => documents.keys.includes(documents.keyOf(asked)));
    expect(kept).toEqual([false, true, false, false, true, true, true]);
    expect(events.evicted).toHaveBeenCalledTimes(3);
  });

  test('are refused with the numbers where they never fit', async () => {
    const ids = tokens(2000);
    const refused = (): unknown => documents.lease(request(ids));
    expect(refused).toThrow(KvMemoryExceededError);
    const { peakBytes: neededBytes } = planRead(engine.model, request(ids));
    const limitBytes = engine.model.documentBytes;
    expect(refused).toThrow(expect.objectContaining({ what: 'document', tokens: 2000, neededBytes, limitBytes }));
    expect(refused).toThrow(/2000 tokens needs \d+\.\d MB .* has \d+\.\d MB .*LONGHAUL_KV_MEMORY/);
    // Read merging it fits.
    await read(request(ids, { reading: 'merging', compression: { policy: 'kvmerger', budget: 0.05 } }));
    expect(() => documents.lease(request(tokens(2049)))).toThrow(ContextOverflowError);
  });

  test('are read on for whoever still waits when others give up, and for nobody when all do', async () => {
    const asked = request(tokens(400));
    const [first, second] = [taken(asked), taken(asked)];
    const [abort, both] = [new AbortController(), new AbortController()];
    const caches = [first.cache(abort.signal), second.cache()];
    abort.abort();
    await expect(caches[0]).rejects.toThrow(EngineAbortedError);
    expect((await caches[1])!.tokens).toBe(400);

    const other = request(tokens(400));
    const lease = taken(other);
    const given = [lease.cache(both.signal), taken(other).cache(both.signal)];
    both.abort();
    for (const cache of given) await expect(cache).rejects.toThrow(EngineAbortedError);
    // Asked again, it is read again.
    expect((await lease.cache()).tokens).toBe(400);
  });

  test('are read only when the engine has let go of what was given up before', async () => {
    const order: string[] = [];
    const abort = new AbortController();
    const { prefill } = engine;
    vi.spyOn(engine, 'prefill').mockImplementation(async (asked, signal) => {
      const { length } = asked.tokens;
      order.push(`begin ${length}`);
      const reading = prefill.call(engine, asked, signal).finally(() => order.push(`end ${length}`));
      if (length === 500) abort.abort();
      return reading;
    });
    const lease = taken(request(tokens(500)));
    const given = lease.cache(abort.signal);
    await expect(given).rejects.toThrow(EngineAbortedError);
    lease.end();
    await read(request(tokens(400)));
    expect(order).toEqual(['begin 500', 'end 500', 'begin 400', 'end 400']);
  });

  test('go to disk when they are pushed out, and come back from there, also in another engine', async () => {
    const modelPath = join(folder, 'tiny.gguf');
    const spill = { folder: join(folder, 'spill'), bytes: 1e7 };
    const kvBytes = (4 / 3) * 1.1 * peakBytes;
    const open = () => Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1, kvBytes, spill });
    const ask = (lease: DocumentLease, suffix: number[]) =>
      lease.cache().then(({ handle }) => first.generate({ handle, suffix, sampling: greedy }));
    let first = await open();
    const restored = vi.fn();
    documents = new HeldDocuments(first, { restored });
    const [asked, question] = [request(tokens(400)), tokens(5)];
    const lease = await read(asked);
    const answered = await ask(lease, question);
    expect(lease.reused).toBe(false);
    lease.end();
    const second = await read(request(tokens(400)));
    expect(documents.holds(asked)).toBe(false);
    second.end();
    const again = await read(asked);
    expect(again.reused).toBe(true);
    expect(restored).toHaveBeenCalledTimes(1);
    expect((await ask(again, question)).logprobs).toEqual(answered.logprobs);
    again.end();
    await documents.store();
    await first.close();

    first = await open();
    documents = new HeldDocuments(first, { restored });
    const later = await read(asked);
    expect(later.reused).toBe(true);
    expect(await later.cache()).toMatchObject({ policy: 'kvmerger', budget: 0.5, tokens: 400, entries: 200 });
    expect((await ask(later, question)).logprobs).toEqual(answered.logprobs);
    await first.close();
  });

  test('leave nothing where they were never read, are short, or could not be read', async () => {
    taken(request(tokens(400))).end();
    (await read(request(tokens(200)))).end();
    const prefill = vi.spyOn(engine, 'prefill').mockRejectedValueOnce(new Error('broken'));
    const lease = taken(request(tokens(400)));
    await expect(lease.cache()).rejects.toThrow('broken');
    prefill.mockRestore();
    lease.end();
    lease.end();
    expect(documents.bytes).toBe(0);
    expect(documents.keys).toEqual([]);
  });
});
