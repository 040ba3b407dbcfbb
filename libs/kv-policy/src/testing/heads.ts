import fc from 'fast-check';
import { expect } from 'vitest';
import { type AttentionKind, DROPPED, type HeadPlan, type HeadStatistics } from '../plan.js';

/** Few distinct levels make ties common; one level makes everything constant. */
const levels = fc.constantFrom(1, 2, 5, 1000);

function values(length: number, low: number, high: number): fc.Arbitrary<Float32Array> {
  return levels.chain((n) =>
    fc
      .array(fc.integer({ min: 0, max: n - 1 }), { minLength: length, maxLength: length })
      .map((steps) => Float32Array.from(steps, (s) => low + ((high - low) * s) / n)),
  );
}

/** Statistics with everything in them that any policy may ask for. */
export interface FilledHead extends HeadStatistics {
  readonly attention: Record<AttentionKind, Float32Array>;
}

export const everyKind = (attention: Float32Array) => ({
  all: attention,
  window: attention,
  last: attention,
  questions: attention,
});

export const heads: fc.Arbitrary<FilledHead> = fc
  .oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 200 }))
  .chain((entries) =>
    fc.record({
      entries: fc.constant(entries),
      attention: fc.record({
        all: values(entries, 0, 50),
        window: values(entries, 0, 50),
        last: values(entries, 0, 1),
        questions: values(entries, 0, 50),
      }),
      similarity: values(entries - 1, -1, 1),
      mass: fc
        .array(fc.integer({ min: 1, max: 4 }), { minLength: entries, maxLength: entries })
        .map((m) => Float32Array.from(m)),
    }),
  );

export const budgets = fc.oneof(
  fc.constantFrom(1, 0.999, 0.5, 0.45, 0.449, 0.35, 0.1, 1e-9),
  fc.double({ min: 1e-6, max: 1, noNaN: true }),
);

export const indices = (length: number) => Array.from({ length }, (_, i) => i);

/** The k best of the candidates, by sorting objects: larger value first, then earlier. */
export function best(candidates: number[], value: ArrayLike<number>, k: number): number[] {
  return [...candidates].sort((a, b) => value[b]! - value[a]! || a - b).slice(0, k);
}

export function membersOf(plan: HeadPlan): number[][] {
  return indices(plan.entries).map((set) => indices(plan.target.length).filter((i) => plan.target[i] === set));
}

/** Every source joins one kept entry or is dropped; kept entries are in source order and hold their pivots. */
export function expectWellFormed(plan: HeadPlan, sources: number) {
  expect(plan.target).toHaveLength(sources);
  expect(plan.pivot).toHaveLength(plan.entries);
  expect(plan.target.every((target) => target >= DROPPED && target < plan.entries)).toBe(true);
  const members = membersOf(plan);
  expect(members.every((set, t) => set.includes(plan.pivot[t]!))).toBe(true);
  expect(members.every((set, t) => t === 0 || set[0]! > members[t - 1]![0]!)).toBe(true);
}

export const keptByBudget = (budget: number, tokens: number) => Math.max(1, Math.floor(budget * tokens));

/** Means over five neighbours, zeros beyond the ends. */
export function slowPool(values: Float32Array): Float32Array {
  const padded = [0, 0, ...values, 0, 0];
  return Float32Array.from(indices(values.length), (i) => padded.slice(i, i + 5).reduce((a, b) => a + b, 0) / 5);
}

/**
 * What calibrated policies score by: means over 5 and largest over 17 neighbours, each divided by its total, added up. Of
 * the tokens that entries stand for, each with an equal part of its entry's attention.
 */
export function slowNeighbourhood({ mass }: HeadStatistics, attention: Float32Array): Float32Array {
  const owner = [...mass].flatMap((tokens, entry) => Array.from({ length: tokens }, () => entry));
  const values = Float32Array.from(owner, (entry) => attention[entry]! / mass[entry]!);
  const largest = Float32Array.from(indices(values.length), (i) =>
    Math.max(...values.slice(Math.max(0, i - 8), i + 9)),
  );
  const parts = [slowPool(values), largest].map((part) => {
    const total = part.reduce((a, b) => a + b, 0);
    return { part, scale: total > 0 ? 1 / total : 0 };
  });
  const scores = new Float32Array(attention.length);
  for (const [token, entry] of owner.entries()) {
    // Rounded like the score of a token itself.
    const score = Math.fround(parts.reduce((sum, { part, scale }) => sum + part[token]! * scale, 0));
    scores[entry]! += score;
  }
  return scores;
}
