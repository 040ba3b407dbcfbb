import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { createPolicy, type Policy, policyNames } from '@app/kv-policy';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { Engine } from './engine.js';
import type { Reading } from './engine-port.js';
import { heldBytes, meanEntries } from './held-prefix.js';
import { adjacentSimilarity, applyPlan } from './merge-kernel.js';
import { readingCapacities } from './merging-read.js';
import { Probe } from './probe.js';
import { seededRandom } from './random.js';
import { expectClose } from './testing/expect-close.js';
import { type NaiveEntries, NaiveLlama } from './testing/naive-llama.js';

/** As the reader has them: tokens from one compression to the next, and entries of a head left alone or always held. */
const BETWEEN = 512;
const RECENT = 64;
const LEAST = 64;
/** Three times what a head keeps in the end, but for that no more than a fifth. */
const whileReading = (kept: number, tokens = TOKENS): number =>
  Math.max(kept, Math.floor(Math.min(3 * kept, tokens / 5)));

const TOKENS = 1100;
const folder = mkdtempSync(join(tmpdir(), 'longhaul-merging-'));
const modelPath = join(folder, 'tiny.gguf');
const random = seededRandom(3);
const tokens = Array.from({ length: TOKENS }, () => Math.floor(random() * 250));
let probe: Probe;

beforeAll(async () => {
  writeTinyGguf(modelPath, { contextLength: 2048, queryHeads: 2, kvHeads: 1 });
  probe = await Probe.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
});
afterAll(async () => {
  await probe.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Reads the tokens merging, to so many entries a head. */
const read = (policy: Policy, entries: readonly number[], questions: readonly (readonly number[])[] = []) =>
  probe.read(tokens, policy.needs.attention, { policy, entries: Int32Array.from(entries), questions });

describe('reading and merging', () => {
  test.each(['window', 'questions'] as const)(
    'does what a naive decoder does that compresses every 512 tokens, scored by %s',
    async (scoring) => {
      const policy = createPolicy('calibrated-merge', { scoring });
      const entries = [300, 40];
      const question = [5, 6, 7, 8];
      const cache = await read(policy, entries, [question]);

      const gguf = await GgufModel.open(modelPath);
      const naive = await NaiveLlama.load(gguf);
      await gguf.close();
      const heads = naive.emptyCache();
      let window: number[][] = [];
      for (const [position, token] of tokens.entries()) {
        if (position > 0 && position % BETWEEN === 0) {
          const received = heads.map((head, i) => received32(head, window[i]!));
          const attention = scoring === 'window' ? received : asked(naive, heads, question, position);
          for (const [i, head] of heads.entries()) {
            compressOlder(
              policy,
              scoring,
              head,
              attention[i]!,
              Math.max(LEAST, Math.floor((whileReading(entries[i]!) * position) / TOKENS)),
            );
          }
        }
        if (position % BETWEEN === BETWEEN - 32) window = heads.map((head) => [...head.attention]);
        naive.step(token, position, heads);
      }
      for (const [i, head] of cache.heads.entries()) {
        const { keys, values, logMass } = heads[i]!;
        expect(head.entries).toBe(logMass.length);
        expectClose(head.keys.subarray(0, head.entries * 16), keys.flat(), 1e-3);
        expectClose(head.values.subarray(0, head.entries * 16), values.flat(), 1e-3);
        expectClose(head.logMass.subarray(0, head.entries), logMass, 1e-6);
      }
    },
  );

  test.each(policyNames)('by %s ends with exactly the budget and never holds more than the bound', async (name) => {
    const policy = createPolicy(name);
    const { layers, kvHeads } = probe.shape;
    for (const budget of [0.35, 0.02]) {
      const allocated = policy.allocate({ tokens: TOKENS, layers, kvHeads }, budget);
      const cache = await read(policy, [...allocated]);
      const bound = allocated.map((kept) =>
        kept === TOKENS ? TOKENS : Math.min(TOKENS, Math.max(whileReading(kept), LEAST) + RECENT + BETWEEN),
      );
      expect(cache.heads.map(({ capacity }) => capacity)).toEqual([...bound]);
      for (const head of cache.heads) {
        expect(head.keys.length).toBe(head.capacity * 16);
        if (policy.name.includes('merge')) expect(massOf(head)).toBe(TOKENS);
      }
      const held = await probe.compress(cache, policy, budget);
      expect(held.heads.map(({ entries }) => entries)).toEqual([...allocated]);
      expect(heldBytes(held)).toBe((1 + meanEntries(held)) * layers * kvHeads * (2 * 16 + 2) * 4);
    }
  });

  test('leaves heads whole that keep everything, and short prefixes as reading exactly would', async () => {
    const policy = createPolicy('calibrated-merge');
    const exact = await probe.read(tokens, []);
    const cache = await read(policy, [TOKENS, 100]);
    // Nothing of layer 0 depends on another layer's entries.
    expect(cache.heads[0]!.keys).toEqual(exact.heads[0]!.keys);
    expect(cache.heads[1]!.entries).toBeLessThan(TOKENS);

    const short = tokens.slice(0, BETWEEN);
    const merging = { policy, entries: Int32Array.of(50, 50), questions: [] };
    const [a, b] = [await probe.read(short, ['window'], merging), await probe.read(short, ['window'])];
    for (const [i, head] of a.heads.entries()) {
      expect(head.keys.subarray(0, head.entries * 16)).toEqual(b.heads[i]!.keys);
      expect(head.attention.window!.subarray(0, BETWEEN)).toEqual(b.heads[i]!.attention.window);
    }
  });

  test('is an option of the engine, which holds less while it reads and as much in the end', async () => {
    const engine = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
    const prefill = async (policy: string, reading?: Reading) => {
      const compression = { policy, budget: 0.1 };
      const { handle, ...held } = await engine.prefill({ tokens, compression, reading, questions: [[5, 6]] });
      const sampling = { temperature: 0, topP: 1, maxTokens: 4, stop: [] };
      const { text } = await engine.generate({ handle, suffix: [5, 6], sampling });
      await engine.release(handle);
      return { ...held, text };
    };
    const [exact, merging] = [await prefill('calibrated-merge'), await prefill('calibrated-merge', 'merging')];
    expect(merging.bytes).toBe(exact.bytes);
    expect(merging.entries).toBe(110);
    // Key, value, mass, log-mass and one kind of attention of every entry.
    const rowBytes = (2 * 16 + 3) * 4 * 2;
    expect(exact.readingBytes).toBe(TOKENS * rowBytes);
    expect(merging.readingBytes).toBe((whileReading(110) + RECENT + BETWEEN) * rowBytes);
    expect((await prefill('full', 'merging')).text).toBe((await prefill('full')).text);
    await engine.close();
  });

  test('asks in turn what does not fit into one run', async () => {
    const policy = createPolicy('calibrated-merge', { scoring: 'questions' });
    const questions = [tokens.slice(0, 40), tokens.slice(40, 80), tokens.slice(300, 800), []];
    const both = await read(policy, [100, 100], questions);
    const first = await read(policy, [100, 100], questions.slice(0, 1));
    const firstKeys = (cache: typeof both) => cache.heads[0]!.keys.slice(0, 20 * 16);
    expect(both.heads[0]!.entries).toBe(first.heads[0]!.entries);
    expect(firstKeys(both)).not.toEqual(firstKeys(first));
    await expect(read(policy, [100, 100], [[], []])).resolves.toBeDefined();
  });
});

test('room for what is read: what is kept, what is recent, and what comes before the next compression', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20_000 }),
      fc.array(fc.nat(20_000)),
      fc.constantFrom(256, 512),
      (n, list, b) => {
        const entries = Int32Array.from(list, (kept) => Math.min(kept + 1, n));
        for (const [i, capacity] of readingCapacities(entries, n, b).entries()) {
          expect(capacity).toBeLessThanOrEqual(n);
          expect(capacity).toBeGreaterThanOrEqual(entries[i]!);
          if (entries[i]! < n)
            expect(capacity).toBeLessThanOrEqual(Math.max(whileReading(entries[i]!, n), LEAST) + RECENT + b);
          else expect(capacity).toBe(n);
        }
      },
    ),
  );
});

function massOf({ mass, entries }: { mass: Float32Array; entries: number }): number {
  return mass.subarray(0, entries).reduce((sum, value) => sum + value, 0);
}

/** What each entry received since `before` was taken. */
function received32({ attention }: NaiveEntries, before: number[]): number[] {
  return attention.map((sum, i) => sum - (before[i] ?? 0));
}

/** What each entry receives from a question that is asked here, a token's mean. */
function asked(naive: NaiveLlama, heads: NaiveEntries[], question: number[], position: number): number[][] {
  const copies = heads.map((head) => ({ ...structuredClone(head), attention: head.attention.map(() => 0) }));
  for (const [i, token] of question.entries()) naive.step(token, position + i, copies);
  return copies.map(({ attention }, i) =>
    attention.slice(0, heads[i]!.attention.length).map((sum) => sum / question.length),
  );
}

/** Replaces all but the recent entries by what the policy makes of them. */
function compressOlder(
  policy: Policy,
  kind: 'window' | 'questions',
  head: NaiveEntries,
  received: number[],
  wanted: number,
): void {
  const older = head.logMass.length - RECENT;
  if (older <= wanted) return;
  const keys = Float32Array.from(head.keys.slice(0, older).flat());
  const values = Float32Array.from(head.values.slice(0, older).flat());
  const mass = Float32Array.from(head.logMass.slice(0, older), (log) => Math.round(Math.exp(log)));
  const similarity = new Float32Array(older - 1);
  adjacentSimilarity(keys, older, 16, similarity);
  const attention = { [kind]: Float32Array.from(received.slice(0, older)) };
  const plan = policy.plan({ entries: older, attention, similarity, mass }, wanted);
  const kept = applyPlan(plan, { keys, values, mass }, 16);
  const row = (source: Float32Array, i: number) => [...source.subarray(i * 16, (i + 1) * 16)];
  head.keys.splice(0, older, ...Array.from(kept.logMass, (_, i) => row(kept.keys, i)));
  head.values.splice(0, older, ...Array.from(kept.logMass, (_, i) => row(kept.values, i)));
  head.logMass.splice(0, older, ...kept.logMass);
  head.attention.splice(0, older, ...Array.from(kept.logMass, () => 0));
}
