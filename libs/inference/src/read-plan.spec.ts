import { createPolicy, type Policy } from '@app/kv-policy';
import { describe, expect, it, vi } from 'vitest';
import { askedRowSize } from './asked-rows.js';
import type { PrefillRequest } from './engine-port.js';
import { type CacheModel, planRead } from './read-plan.js';

vi.mock('@app/kv-policy', { spy: true });

const MODEL: CacheModel = {
  layers: 3,
  kvHeads: 2,
  queryHeads: 4,
  headSize: 8,
  kvType: 'f32',
  compressThreads: 2,
};
const HEADS = 6;
const TOKENS = 1000;
/** Key and value with a column each for log-mass and for entry 0, as float32. */
const HELD_ENTRY = (2 * 8 + 2) * 4;

const request = (policy: string, budget: number, more: Partial<PrefillRequest> = {}): PrefillRequest => ({
  tokens: Array.from({ length: TOKENS }, (_, i) => i),
  compression: { policy, budget },
  ...more,
});
const questions = (tokens: number): number[][] => [Array.from({ length: tokens }, (_, i) => i)];

describe('planRead', () => {
  it('holds keys, values, mass and log-mass while it reads, and beside a full cache a head a thread', () => {
    const plan = planRead(MODEL, request('full', 1));
    expect(plan.readingBytes).toBe(HEADS * TOKENS * (2 * 8 + 2) * 4);
    // A head is changed into what is held one at a time and thread, and takes the place of what was read.
    expect(plan.peakBytes).toBe(plan.readingBytes + 2 * (1 + TOKENS) * HELD_ENTRY);
    expect(plan.heldBytes).toBe(HEADS * (1 + TOKENS) * HELD_ENTRY);
    expect(plan).toMatchObject({ shrinks: false, matching: false, attention: [], shapedByQuestions: false });
  });

  it('counts what is made of a shrunk cache beside what was read', () => {
    const plan = planRead(MODEL, request('kvmerger', 0.5));
    expect(plan.readingBytes).toBe(HEADS * TOKENS * (2 * 8 + 2 + 1) * 4);
    expect(plan.peakBytes).toBe(plan.readingBytes + (HEADS + 2) * (1 + TOKENS / 2) * HELD_ENTRY);
    expect(plan.heldBytes).toBe(HEADS * (1 + TOKENS / 2) * HELD_ENTRY);
  });

  it('holds in float16 half, and makes every head once more in float32', () => {
    const [whole, half] = (['f32', 'f16'] as const).map((kvType) =>
      planRead({ ...MODEL, kvType }, request('kvmerger', 0.5)),
    );
    expect(half!.heldBytes).toBe(whole!.heldBytes / 2);
    expect(half!.peakBytes).toBe(whole!.peakBytes - whole!.heldBytes / 2);
  });

  it('counts the rows of questions, and the matrices of the heads that are matched to them', () => {
    const [few, many] = [10, 20].map((count) =>
      planRead(MODEL, request('calibrated-merge', 0.5, { questions: questions(count) })),
    );
    expect(few).toMatchObject({ shrinks: true, matching: true, shapedByQuestions: true });
    expect(many!.readingBytes).toBe(few!.readingBytes);
    // Two queries of each KV head ask for ten tokens more; two threads have two matrices of rows by entries each.
    const rows = 10 * 2;
    const matrices = 2 * 2 * rows * (TOKENS / 2) * 4;
    expect(many!.peakBytes - few!.peakBytes).toBe(rows * askedRowSize(8) * HEADS * 4 + matrices);
  });

  it('counts heads that stay whole once, and heads of many entries with fewer rows', () => {
    const [whole, many, few] = [3000, 600, 500];
    const heads = [whole, many, few, few, few, few];
    const policy = { exact: true, matching: true, needs: { attention: [] }, allocate: () => Int32Array.from(heads) };
    vi.mocked(createPolicy).mockReturnValueOnce(policy as unknown as Policy);
    const tokens = Array.from({ length: whole }, (_, i) => i);
    const plan = planRead(MODEL, request('calibrated-merge', 0.3, { tokens, questions: questions(1000) }));
    expect(plan.readingBytes).toBe(HEADS * whole * (2 * 8 + 2) * 4);
    const asked = 384 * askedRowSize(8) * HEADS * 4;
    const made = (1 + many + 4 * (1 + few) + 2 * (1 + whole)) * HELD_ENTRY;
    // 384 rows by 500 entries are more than 192 by 600.
    const matched = 2 * ((1 + many) * HELD_ENTRY + 2 * 384 * few * 4);
    const run = 256 * 2 * askedRowSize(8) * HEADS * 4;
    expect(plan.peakBytes).toBe(plan.readingBytes + asked + Math.max(run, made + matched));
  });

  it('plans less memory for what is merged while it is read', () => {
    const long = { tokens: Array.from({ length: 8000 }, (_, i) => i) };
    const [exact, merging] = (['exact', 'merging'] as const).map((reading) =>
      planRead(MODEL, request('calibrated-merge', 0.1, { ...long, reading })),
    );
    expect(merging!.readingBytes).toBeLessThan(0.5 * exact!.readingBytes);
    expect(merging!.heldBytes).toBe(exact!.heldBytes);
  });
});
