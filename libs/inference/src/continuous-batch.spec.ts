import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { MAX_ITEMS } from './continuous-batch.js';
import { Engine } from './engine.js';
import { EngineAbortedError } from './engine-errors.js';
import type { CacheHandle, GenerateRequest, Generation, SamplingOptions } from './engine-port.js';
import { seededRandom } from './random.js';
import { MAX_DOCUMENTS } from './run-layout.js';

/** Sums in another order may pick another token where two are this close, in nats. */
const MARGIN = 1e-3;

const greedy: SamplingOptions = { temperature: 0, topP: 1, maxTokens: 12, stop: [], topLogprobs: 2 };

describe('continuous batch', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-batch-'));
  const random = seededRandom(5);
  let engine: Engine;

  beforeAll(async () => {
    const modelPath = join(folder, 'tiny.gguf');
    writeTinyGguf(modelPath, { contextLength: 2048 });
    engine = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const tokens = (count: number): number[] => Array.from({ length: count }, () => 3 + Math.floor(random() * 250));
  const hold = async (length: number, policy = 'kvmerger', budget = 0.4): Promise<CacheHandle> =>
    (await engine.prefill({ tokens: tokens(length), compression: { policy, budget } })).handle;
  const ask = (handle: CacheHandle, suffix: number, sampling: Partial<SamplingOptions> = {}): GenerateRequest => ({
    handle,
    suffix: tokens(suffix),
    sampling: { ...greedy, ...sampling },
  });

  /** The answer of each item when nothing else goes on. */
  async function alone(requests: readonly GenerateRequest[]): Promise<Generation[]> {
    const answers: Generation[] = [];
    for (const request of requests) answers.push(await engine.generate(request));
    return answers;
  }

  function expectAlike(found: Generation, expected: Generation): void {
    const unsure = (expected.logprobs ?? []).findIndex(({ top }) => top[0]!.logprob - top[1]!.logprob < MARGIN);
    if (unsure >= 0) {
      expect(found.tokens.slice(0, unsure)).toEqual(expected.tokens.slice(0, unsure));
      return;
    }
    expect(found.tokens).toEqual(expected.tokens);
    expect([found.text, found.finishReason]).toEqual([expected.text, expected.finishReason]);
    for (const [i, { logprob }] of (found.logprobs ?? []).entries()) {
      expect(Math.abs(logprob - expected.logprobs![i]!.logprob)).toBeLessThan(MARGIN);
    }
  }

  test('items of several documents, more than there is room for, are answered as each alone', async () => {
    const handles: CacheHandle[] = [];
    for (let i = 0; i < MAX_DOCUMENTS + 2; i++) handles.push(await hold(40 + 60 * i));
    const requests = Array.from({ length: MAX_ITEMS + 14 }, (_, i) =>
      ask(handles[(i * i) % handles.length]!, 1 + ((i * 7) % 60), { maxTokens: 1 + ((i * 5) % 17) }),
    );
    const expected = await alone(requests);
    const found = await Promise.all(requests.map((request) => engine.generate(request)));
    for (const [i, answer] of found.entries()) expectAlike(answer, expected[i]!);
    for (const handle of handles) await engine.release(handle);
  });

  test('items join while others go on, also with suffixes longer than a chunk', async () => {
    const handle = await hold(300);
    const first = ask(handle, 20, { maxTokens: 60 });
    const later = [ask(handle, 600), ask(handle, 256, { maxTokens: 30 }), ask(handle, 3), ask(handle, 257)];
    const expected = await alone([first, ...later]);
    const running = [engine.generate(first)];
    for (const request of later) {
      await engine.prefill({ tokens: tokens(300), compression: { policy: 'full', budget: 1 } });
      running.push(engine.generate(request));
    }
    for (const [i, answer] of (await Promise.all(running)).entries()) expectAlike(answer, expected[i]!);
  });

  test('seeds, stop strings and log-probabilities are each item’s own', async () => {
    const handle = await hold(200, 'h2o', 0.5);
    const sampled = { temperature: 1.1, topP: 0.9, seed: 7 };
    const base = ask(handle, 9, sampled);
    const [whole] = await alone([base]);
    const stop = [...whole!.text].slice(2, 4).join('');
    const requests = [
      base,
      { ...base, sampling: { ...base.sampling, seed: 8 } },
      { ...base, sampling: { ...base.sampling, stop: [stop] } },
      { ...base, sampling: { ...base.sampling, topLogprobs: undefined } },
    ];
    const found = await Promise.all(requests.map((request) => engine.generate(request)));
    expect(found[0]!.tokens).toEqual(whole!.tokens);
    expect(found[1]!.tokens).not.toEqual(whole!.tokens);
    expect(found[2]!.text).toBe(whole!.text.slice(0, whole!.text.indexOf(stop)));
    expect(found[2]!.finishReason).toBe('stop');
    expect(found[3]!.logprobs).toBeUndefined();
    expect(found[3]!.tokens).toEqual(whole!.tokens);
  });

  test('an item that is given up, running or waiting, leaves the others as they are', async () => {
    const handle = await hold(150);
    const given = [3, MAX_ITEMS + 1];
    // However long a chunk takes, those that are given up do not end before.
    const endless = {
      maxTokens: 1500,
      bias: { tokens: [[0, -100] as const, [2, -100] as const], frequency: 0, presence: 0 },
    };
    const requests = Array.from({ length: MAX_ITEMS + 4 }, (_, i) =>
      ask(handle, 12, given.includes(i) ? endless : { maxTokens: 25 }),
    );
    const expected = await alone(
      requests.map((request) => ({ ...request, sampling: { ...request.sampling, maxTokens: 25 } })),
    );
    const abort = new AbortController();
    const answers = Promise.allSettled(
      requests.map((request, i) => engine.generate(request, given.includes(i) ? abort.signal : undefined)),
    );
    // Runs between two chunks, when steps have been taken.
    await engine.prefill({ tokens: tokens(600), compression: { policy: 'full', budget: 1 } });
    abort.abort();
    for (const [i, answer] of (await answers).entries()) {
      if (given.includes(i)) expect(answer).toMatchObject({ reason: expect.any(EngineAbortedError) });
      else if (answer.status === 'fulfilled') expectAlike(answer.value, expected[i]!);
      else expect.fail(String(answer.reason));
    }
  });

  test('a cache that is released goes on to serve the items that read it', async () => {
    const handle = await hold(120);
    const request = ask(handle, 5);
    const [expected] = await alone([request]);
    const answer = engine.generate(request);
    await engine.release(handle);
    expectAlike(await answer, expected!);
  });

  test('answers that grow beyond the room for them take turns, and are what they are alone', async () => {
    const modelPath = join(folder, 'tiny.gguf');
    const tokenBytes = 2 * 2 * 2 * 16 * 4;
    // A quarter of it is for suffixes and answers.
    const kvBytes = 4 * 700 * tokenBytes;
    const narrow = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1, kvBytes });
    expect(narrow.model.tailTokens).toBe(700);
    const document = { tokens: tokens(200), compression: { policy: 'full', budget: 1 } };
    const { handle } = await engine.prefill(document);
    const requests = [5, 20, 300, 9, 1, 40].map((suffix, i) => ask(handle, suffix, { maxTokens: 200 + 40 * i }));
    const expected = await alone(requests);
    const held = (await narrow.prefill(document)).handle;
    const found = await Promise.all(requests.map((request) => narrow.generate({ ...request, handle: held })));
    for (const [i, answer] of found.entries()) expectAlike(answer, expected[i]!);
    const tooLong = narrow.generate(ask(held, 300, { maxTokens: 401 }));
    await expect(tooLong).rejects.toMatchObject({ what: 'question', tokens: 701, limitBytes: 700 * tokenBytes });
    await narrow.close();
  });

  test('closing ends what goes on', async () => {
    const modelPath = join(folder, 'tiny.gguf');
    const other = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
    const { handle } = await other.prefill({ tokens: tokens(50), compression: { policy: 'full', budget: 1 } });
    const answers = Array.from({ length: 20 }, () => other.generate(ask(handle, 4, { maxTokens: 1000 })));
    const ended = Promise.allSettled(answers);
    await other.close();
    for (const { status } of await ended) expect(status).toBe('rejected');
  });
});
