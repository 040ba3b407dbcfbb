import { mkdtempSync, readdirSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { policyNames } from '@app/kv-policy';
import type { KvType } from '@app/onnx-graph';
import { afterAll, afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { CompressThreads } from './compress-threads.js';
import { Engine } from './engine.js';
import { ContextOverflowError, EngineAbortedError, UnknownCacheError } from './engine-errors.js';
import type { AnswerPiece, SamplingOptions } from './engine-port.js';

const greedy: SamplingOptions = { temperature: 0, topP: 1, maxTokens: 12, stop: [] };
const full = { policy: 'full', budget: 1 };
const document = Array.from({ length: 300 }, (_, i) => 10 + ((i * i) % 200));
const question = [20, 30, 40];

describe('engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-engine-'));
  const modelPath = join(folder, 'tiny.gguf');
  let engine: Engine;

  beforeAll(async () => {
    writeTinyGguf(modelPath);
    engine = await Engine.open({ modelPath, cacheDir: folder, precision: 'q8', threads: 1 });
  });
  afterAll(async () => {
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });
  afterEach(() => {
    vi.restoreAllMocks();
  });

  test('an item leaves the cache as it was: the same question gets the same answer again', async () => {
    const { handle } = await engine.prefill({ tokens: document, compression: { policy: 'kvmerger', budget: 0.35 } });
    const first = await engine.generate({ handle, suffix: question, sampling: greedy });
    await engine.generate({ handle, suffix: [99, 98], sampling: greedy });
    const again = await engine.generate({ handle, suffix: question, sampling: greedy });
    expect(again.tokens).toEqual(first.tokens);
    expect(first.tokens.length).toBeGreaterThan(0);
    await engine.release(handle);
  });

  test.each(policyNames.filter((name) => name !== 'full'))(
    '%s holds exactly the budget, in entries and in bytes',
    async (policy) => {
      const held = await engine.prefill({ tokens: document, compression: { policy, budget: 0.35 } });
      const { layers, kvHeads, entryBytes } = engine.model;
      expect(held).toMatchObject({ policy, budget: 0.35, tokens: 300, entries: 105 });
      expect(held.bytes).toBe((1 + 105) * layers * kvHeads * entryBytes);
      await engine.release(held.handle);
    },
  );

  test('with float16 keys and values it holds half the bytes and answers nearly the same', async () => {
    const open = (kvType: KvType) => Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1, kvType });
    const [exact, half] = [await open('f32'), await open('f16')];
    expect(half.model.identity).not.toBe(exact.model.identity);
    const { layers, kvHeads, headSize } = engine.model;
    for (const compression of [full, { policy: 'calibrated-merge', budget: 0.35 }]) {
      const logprobs = [];
      for (const [each, numberBytes] of [
        [exact, 4],
        [half, 2],
      ] as const) {
        const { handle, bytes, entries } = await each.prefill({ tokens: document, compression });
        expect(bytes).toBe((1 + entries) * layers * kvHeads * (2 * headSize + 2) * numberBytes);
        const sampling = { ...greedy, maxTokens: 1, topLogprobs: 3 };
        const answer = await each.generate({ handle, suffix: question, sampling });
        logprobs.push(answer.logprobs![0]!.top.map(({ logprob }) => logprob));
      }
      for (const [i, logprob] of logprobs[0]!.entries()) expect(logprobs[1]![i]).toBeCloseTo(logprob, 2);
    }
    await exact.close();
    await half.close();
  });

  test('full holds everything', async () => {
    const held = await engine.prefill({ tokens: document, compression: full });
    const { layers, kvHeads, headSize } = engine.model;
    expect(held.entries).toBe(300);
    expect(held.bytes).toBe(301 * layers * kvHeads * (2 * headSize + 2) * 4);
    await engine.release(held.handle);
  });

  test('positions go on from the token count, whatever is kept: a budget of 1 answers like full', async () => {
    const answers = [];
    for (const compression of [full, { policy: 'kvmerger', budget: 1 }, { policy: 'h2o', budget: 1 }]) {
      const { handle } = await engine.prefill({ tokens: document, compression });
      answers.push(
        (await engine.generate({ handle, suffix: question, sampling: { ...greedy, topLogprobs: 2 } })).logprobs,
      );
      await engine.release(handle);
    }
    expect(answers[1]).toEqual(answers[0]);
    expect(answers[2]).toEqual(answers[0]);
  });

  test('the border between prefix and suffix does not matter to a full cache', async () => {
    const prompt = [...document, ...question];
    const answers = [];
    for (const border of [1, 40, 299, 302]) {
      const { handle } = await engine.prefill({ tokens: prompt.slice(0, border), compression: full });
      answers.push((await engine.generate({ handle, suffix: prompt.slice(border), sampling: greedy })).tokens);
      await engine.release(handle);
    }
    for (const answer of answers) expect(answer).toEqual(answers[0]);
  });

  test('log-probabilities: one entry a token, alternatives sorted, the greedy token first', async () => {
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    const { tokens, logprobs } = await engine.generate({
      handle,
      suffix: question,
      sampling: { ...greedy, topLogprobs: 3 },
    });
    expect(logprobs?.map((entry) => entry.token)).toEqual(tokens);
    for (const entry of logprobs ?? []) {
      expect(entry.top[0]?.token).toBe(entry.token);
      expect(entry.top.map((top) => top.logprob)).toEqual(entry.top.map((top) => top.logprob).sort((a, b) => b - a));
      expect(entry.top.reduce((sum, top) => sum + Math.exp(top.logprob), 0)).toBeLessThanOrEqual(1.0001);
    }
    await engine.release(handle);
  });

  test('a stop string ends the answer before it', async () => {
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    const whole = await engine.generate({ handle, suffix: question, sampling: greedy });
    const stop = [...whole.text].at(-1) as string;
    const cut = await engine.generate({ handle, suffix: question, sampling: { ...greedy, stop: [stop] } });
    expect(cut.finishReason).toBe('stop');
    expect(cut.text).toBe(whole.text.slice(0, whole.text.indexOf(stop)));
    expect(whole.finishReason).toBe('length');
    await engine.release(handle);
  });

  test('tells of an answer as it grows, never more than it will be', async () => {
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    const ask = async (stop: string[]) => {
      const pieces: AnswerPiece[] = [];
      const request = {
        handle,
        suffix: question,
        sampling: { ...greedy, temperature: 1, seed: 3, maxTokens: 40, topLogprobs: 1, stop },
      };
      const answer = await engine.generate(request, undefined, (piece) => pieces.push(piece));
      const told = pieces.map(({ text }) => text).join('');
      expect(answer.text.startsWith(told)).toBe(true);
      for (const { text } of pieces) expect(text).not.toBe('');
      const logprobs = pieces.flatMap((piece) => piece.logprobs);
      expect(answer.logprobs?.slice(0, logprobs.length)).toEqual(logprobs);
      return { answer, told };
    };
    const { answer, told } = await ask([]);
    expect(told.length).toBeGreaterThan(8);
    const stop = answer.text.slice(6, 8);
    const stopped = await ask([stop]);
    expect(stopped.answer.text).toBe(answer.text.slice(0, answer.text.indexOf(stop)));
    await engine.release(handle);
  });

  test('seeded sampling repeats itself', async () => {
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    const sampling = { ...greedy, temperature: 1.2, topP: 0.95, seed: 7 };
    const first = await engine.generate({ handle, suffix: question, sampling });
    expect((await engine.generate({ handle, suffix: question, sampling })).tokens).toEqual(first.tokens);
    expect(
      (await engine.generate({ handle, suffix: question, sampling: { ...sampling, seed: 8 } })).tokens,
    ).not.toEqual(first.tokens);
    await engine.release(handle);
  });

  test('more positions than the model has is an error with the counts', async () => {
    const long = Array.from({ length: 513 }, () => 5);
    await expect(engine.prefill({ tokens: long, compression: full })).rejects.toThrow(ContextOverflowError);
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    const asked = engine.generate({ handle, suffix: question, sampling: { ...greedy, maxTokens: 210 } });
    await expect(asked).rejects.toMatchObject({ contextLength: 512, promptTokens: 303, maxTokens: 210 });
    await expect(
      engine.generate({ handle, suffix: question, sampling: { ...greedy, maxTokens: 209 } }),
    ).resolves.toBeDefined();
    await engine.release(handle);
  });

  test('an aborted call rejects and leaves nothing held', async () => {
    const abort = new AbortController();
    const reading = engine.prefill({ tokens: document, compression: full }, abort.signal);
    abort.abort();
    await expect(reading).rejects.toThrow(EngineAbortedError);
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    await expect(engine.generate({ handle, suffix: question, sampling: greedy }, AbortSignal.abort())).rejects.toThrow(
      EngineAbortedError,
    );
    await engine.release(handle);
  });

  test('a call that is aborted while its heads are compressed rejects, and the next one is read as ever', async () => {
    const request = { tokens: document, compression: { policy: 'calibrated-merge', budget: 0.35 } };
    const expected = await engine.prefill(request);
    const abort = new AbortController();
    const { compress } = CompressThreads.prototype;
    const compressing = vi.spyOn(CompressThreads.prototype, 'compress').mockImplementation(function (
      this: CompressThreads,
      ...args
    ) {
      abort.abort();
      // Every head takes long enough for others to have a turn.
      let now = performance.now();
      vi.spyOn(performance, 'now').mockImplementation(() => {
        now += 100;
        return now;
      });
      return compress.apply(this, args);
    });
    await expect(engine.prefill(request, abort.signal)).rejects.toThrow(EngineAbortedError);
    expect(compressing).toHaveBeenCalledOnce();
    vi.restoreAllMocks();
    const found = await engine.prefill(request);
    const answers = [];
    for (const { handle } of [expected, found]) {
      const sampling = { ...greedy, topLogprobs: 2 };
      answers.push((await engine.generate({ handle, suffix: question, sampling })).logprobs);
      await engine.release(handle);
    }
    expect(answers[1]).toEqual(answers[0]);
  });

  test('a released or foreign handle is refused', async () => {
    const { handle } = await engine.prefill({ tokens: document, compression: full });
    await engine.release(handle);
    await expect(engine.generate({ handle, suffix: question, sampling: greedy })).rejects.toThrow(UnknownCacheError);
  });
});

describe('model files', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-files-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const open = (modelPath: string) =>
    Engine.open({ modelPath, cacheDir: join(folder, 'graphs'), precision: 'f32', threads: 1 });
  const path = (name: string) => join(folder, name);

  test('are made once, and made again when they are damaged', async () => {
    writeTinyGguf(path('tiny.gguf'));
    await (await open(path('tiny.gguf'))).close();
    const [directory] = readdirSync(path('graphs'));
    const weights = join(folder, 'graphs', directory as string, 'weights.bin');
    expect(readdirSync(join(folder, 'graphs', directory as string)).some((file) => /[0-9a-f]{8}-/.test(file))).toBe(
      false,
    );
    truncateSync(weights, 100);
    const engine = await open(path('tiny.gguf'));
    await expect(engine.prefill({ tokens: [1, 2, 3], compression: full })).resolves.toMatchObject({ tokens: 3 });
    await engine.close();
  });

  test('do not keep what a killed process left of them', async () => {
    writeTinyGguf(path('tiny.gguf'));
    await (await open(path('tiny.gguf'))).close();
    const [directory] = readdirSync(join(folder, 'graphs')).map((name) => join(folder, 'graphs', name)) as [string];
    const anHourAgo = Date.now() / 1000 - 3600;
    for (const name of ['abandoned', 'under-way']) writeFileSync(join(directory, `weights.bin.${name}`), 'half');
    utimesSync(join(directory, 'weights.bin.abandoned'), anHourAgo, anHourAgo);
    truncateSync(join(directory, 'weights.bin'), 100);
    await (await open(path('tiny.gguf'))).close();
    expect(readdirSync(directory).filter((name) => name.startsWith('weights.bin.'))).toEqual(['weights.bin.under-way']);
  });

  test('hold the model that a GGUF describes', async () => {
    writeTinyGguf(path('tiny.gguf'));
    const gguf = await GgufModel.open(path('tiny.gguf'));
    const engine = await open(path('tiny.gguf'));
    expect(engine.model).toEqual({
      contextLength: 512,
      layers: 2,
      kvHeads: 2,
      queryHeads: 4,
      headSize: 16,
      kvType: 'f32',
      entryBytes: 136,
      itemsAtOnce: 16,
      compressThreads: 1,
      identity: expect.stringMatching(/^[0-9a-f]{64}$/),
      documentBytes: expect.any(Number),
      tailTokens: 8192,
      uncalibrated: expect.stringContaining('tiny.calibration.json'),
    });
    expect(engine.model.contextLength).toBe(gguf.hyperparameters.contextLength);
    await engine.close();
    await gguf.close();
  });
});
