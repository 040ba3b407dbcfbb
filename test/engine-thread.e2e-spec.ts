import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from './tiny-gguf.js';

/** The compiled library: a thread can't be started from TypeScript. */
const {
  startEngine,
  ContextOverflowError,
  EngineAbortedError,
  EngineCrashedError,
  KvMemoryExceededError,
  UnknownCacheError,
} = (await import('../dist/libs/inference/src/index.js' as string)) as typeof import('@app/inference');

const full = { policy: 'full', budget: 1 };
const sampling = { temperature: 0, topP: 1, maxTokens: 8, stop: [] };
const tokens = Array.from({ length: 400 }, (_, i) => 10 + (i % 200));
/** Takes many runs to read. */
const longDocument = Array.from({ length: 2000 }, (_, i) => 10 + (i % 200));

describe('the engine behind its port', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-thread-'));
  const modelPath = join(folder, 'tiny.gguf');
  const start = (kvBytes?: number) =>
    startEngine({ modelPath, cacheDir: folder, precision: 'q8', threads: 1, kvBytes });
  beforeAll(() => writeTinyGguf(modelPath, { contextLength: 4096 }));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('answers items together from a held cache as it answers each alone', async () => {
    const engine = await start();
    expect(engine.model).toMatchObject({ contextLength: 4096, layers: 2 });
    const held = await engine.prefill({ tokens, compression: { policy: 'kvmerger', budget: 0.5 } });
    expect(held).toMatchObject({ tokens: 400, entries: 200 });
    const ask = (suffix: number) => engine.generate({ handle: held.handle, suffix: [suffix], sampling });
    const together = await Promise.all([ask(11), ask(12), ask(13)]);
    for (const [i, answer] of together.entries()) {
      expect(answer.tokens.length).toBeGreaterThan(0);
      expect(answer.tokens).toEqual((await ask(11 + i)).tokens);
    }
    await engine.close();
  });

  test('nobody waits for a long answer or a long document to end', async () => {
    const engine = await start();
    const { handle } = await engine.prefill({ tokens: tokens.slice(0, 50), compression: full });
    const ended: string[] = [];
    const note = (name: string) => () => ended.push(name);
    const long = { ...sampling, maxTokens: 300 };
    await Promise.all([
      engine.generate({ handle, suffix: [11], sampling: long }).then(note('long answer')),
      engine.prefill({ tokens: longDocument, compression: full }).then(note('document')),
      engine.generate({ handle, suffix: [12], sampling: { ...sampling, maxTokens: 1 } }).then(note('short answer')),
    ]);
    expect(ended[0]).toBe('short answer');
    expect(ended).toHaveLength(3);
    await engine.close();
  });

  test('the calling thread stays free while the engine works', async () => {
    const engine = await start();
    let ticks = 0;
    const timer = setInterval(() => ticks++, 1);
    const { handle } = await engine.prefill({ tokens, compression: full });
    for (let i = 0; i < 20; i++) await engine.generate({ handle, suffix: tokens.slice(0, 50), sampling });
    clearInterval(timer);
    expect(ticks).toBeGreaterThan(10);
    await engine.close();
  });

  test('errors keep their class and their numbers', async () => {
    const engine = await start();
    const long = Array.from({ length: 4200 }, () => 5);
    const refused = await engine.prefill({ tokens: long, compression: full }).catch((error: unknown) => error);
    expect(refused).toBeInstanceOf(ContextOverflowError);
    expect(refused).toMatchObject({ contextLength: 4096, promptTokens: 4200 });
    const { handle } = await engine.prefill({ tokens, compression: full });
    await engine.release(handle);
    await expect(engine.generate({ handle, suffix: [5], sampling })).rejects.toBeInstanceOf(UnknownCacheError);
    await expect(engine.prefill({ tokens, compression: { policy: 'none such', budget: 1 } })).rejects.toMatchObject({
      name: 'UnknownPolicyError',
    });
    await engine.close();
  });

  test('an answer that can never fit into memory is refused with the numbers, across threads', async () => {
    const tokenBytes = 2 * 2 * 2 * 16 * 4;
    const engine = await start(4 * 20 * tokenBytes);
    const { handle } = await engine.prefill({ tokens, compression: full });
    const refused = await engine.generate({ handle, suffix: tokens.slice(0, 13), sampling }).catch((error) => error);
    expect(refused).toBeInstanceOf(KvMemoryExceededError);
    expect(refused).toMatchObject({ what: 'question', tokens: 21, limitBytes: 20 * tokenBytes });
    expect((await engine.generate({ handle, suffix: tokens.slice(0, 12), sampling })).text.length).toBeGreaterThan(0);
    await engine.close();
  });

  test('an abort ends the call under way and a call that waits; the next one works', async () => {
    const engine = await start();
    const abort = new AbortController();
    const underWay = engine.prefill({ tokens: longDocument, compression: full }, abort.signal);
    const waiting = engine.prefill({ tokens: longDocument, compression: full }, abort.signal);
    abort.abort();
    await expect(underWay).rejects.toBeInstanceOf(EngineAbortedError);
    await expect(waiting).rejects.toBeInstanceOf(EngineAbortedError);
    await expect(engine.prefill({ tokens, compression: full })).resolves.toMatchObject({ tokens: 400 });
    await engine.close();
  });

  test('closing ends calls under way, and the engine takes no more', async () => {
    const engine = await start();
    const reading = engine.prefill({ tokens: longDocument, compression: full });
    await Promise.all([expect(reading).rejects.toBeInstanceOf(EngineAbortedError), engine.close()]);
    await expect(engine.prefill({ tokens, compression: full })).rejects.toBeInstanceOf(EngineCrashedError);
  });

  test('a model that cannot be read fails the start with its own error', async () => {
    const engine = startEngine({ modelPath: join(folder, 'none.gguf'), cacheDir: folder, precision: 'q8', threads: 1 });
    await expect(engine).rejects.toThrow(/none\.gguf/);
  });
});
