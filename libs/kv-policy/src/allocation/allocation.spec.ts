import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy, policyNames } from '../index.js';
import { budgets } from '../testing/heads.js';
import type { CacheShape } from './allocation.js';
import { inProportion } from './in-proportion.js';
import { pyramid } from './pyramid.js';
import { twoClasses } from './two-classes.js';

const shapes: fc.Arbitrary<CacheShape> = fc.record({
  tokens: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9000 })),
  layers: fc.integer({ min: 1, max: 32 }),
  kvHeads: fc.integer({ min: 1, max: 4 }),
});
const heads = ({ layers, kvHeads }: CacheShape) => layers * kvHeads;
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);

/** A shape with a sensitivity for each head, few levels among them making ties common. */
const calibrated = shapes.chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    sensitivity: fc
      .array(fc.oneof(fc.constantFrom(0, 0.5, 1), fc.float({ min: 0, max: 4, noNaN: true })), {
        minLength: heads(shape),
        maxLength: heads(shape),
      })
      .map((values) => Float32Array.from(values)),
  }),
);

/** Heads, most sensitive first, of equal ones the earlier first. */
const ranked = (sensitivity: Float32Array) =>
  [...sensitivity.keys()].sort((a, b) => sensitivity[b]! - sensitivity[a]! || a - b);

const wanted = (shape: CacheShape, budget: number) =>
  Math.max(heads(shape), Math.floor(budget * shape.tokens * heads(shape)));

describe('every policy', () => {
  it.each(policyNames)('%s without sensitivities allocates floor(budget x T) a head, on average', (name) => {
    fc.assert(
      fc.property(shapes, budgets, (shape, budget) => {
        const entries = createPolicy(name).allocate(shape, budget);
        const mean = name === 'full' ? shape.tokens : Math.max(1, Math.floor(budget * shape.tokens));
        expect(entries).toHaveLength(heads(shape));
        expect(entries.every((n) => n >= 1 && n <= shape.tokens)).toBe(true);
        expect(sum(entries)).toBe(mean * heads(shape));
        if (name !== 'pyramidkv') expect(entries.every((n) => n === mean)).toBe(true);
      }),
    );
  });

  it('says whether it is calibrated; only those that are heed sensitivities', () => {
    const shape = { tokens: 1000, layers: 4, kvHeads: 2 };
    const sensitivity = Float32Array.of(1, 8, 3, 4, 2, 6, 7, 5);
    const heeding = policyNames.filter((name) => {
      const policy = createPolicy(name);
      const heeds = !Object.is(policy.allocate(shape, 0.35).join(), policy.allocate(shape, 0.35, sensitivity).join());
      expect(policy.calibrated).toBe(heeds);
      return heeds;
    });
    expect(heeding).toEqual(['calibrated-merge', 'calibrated-evict', 'duo-attention']);
  });

  it('refuses sensitivities of another model and ones that are no numbers', () => {
    const policy = createPolicy('calibrated-merge');
    const shape = { tokens: 10, layers: 1, kvHeads: 2 };
    expect(() => policy.allocate(shape, 0.5, new Float32Array(3))).toThrow(
      'sensitivities of 2 KV heads, found [0,0,0]',
    );
    expect(() => policy.allocate(shape, 0.5, Float32Array.of(1, Number.NaN))).toThrow(RangeError);
  });
});

describe('two classes', () => {
  it('keeps the most sensitive heads whole, the others at the floor, and meets the total exactly', () => {
    fc.assert(
      fc.property(calibrated, budgets, fc.constantFrom(0.2, 0.05), ({ shape, sensitivity }, budget, floorShare) => {
        const { tokens } = shape;
        const entries = twoClasses(floorShare).allocate(shape, budget, sensitivity);
        const share = Math.min(floorShare, 0.6 * budget);
        const floor = Math.max(1, Math.floor(share * tokens));
        const byRank = ranked(sensitivity).map((head) => entries[head]!);
        expect(sum(entries)).toBe(wanted(shape, budget));
        expect(byRank).toEqual([...byRank].sort((a, b) => b - a));
        expect(byRank.filter((n) => n !== tokens && n !== floor).length).toBeLessThanOrEqual(1);
        const whole = byRank.filter((n) => n === tokens).length;
        // What rounding down the floors leaves over may fill one head more.
        const paidFor = ((budget - share) / (1 - share)) * heads(shape);
        if (tokens > heads(shape) && floor > 1) {
          expect(whole).toBeGreaterThanOrEqual(Math.floor(paidFor - 1e-9));
          expect(whole).toBeLessThanOrEqual(Math.floor(paidFor + 1e-9) + 1);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('gives the shares of the method: 18.75 % of the heads whole and the others 20 % at a budget of 35 %', () => {
    const shape = { tokens: 1000, layers: 8, kvHeads: 4 };
    const sensitivity = Float32Array.from({ length: 32 }, (_, head) => (head * 7) % 32);
    const entries = twoClasses(0.2).allocate(shape, 0.35, sensitivity);
    for (const [head, n] of entries.entries()) expect(n).toBe(sensitivity[head]! >= 26 ? 1000 : 200);
    expect(sum(entries)).toBe(11200);
  });

  it('takes the earlier of equal heads', () => {
    const entries = twoClasses(0.2).allocate({ tokens: 100, layers: 2, kvHeads: 2 }, 0.5, new Float32Array(4));
    expect([...entries]).toEqual([100, 60, 20, 20]);
  });
});

describe('in proportion', () => {
  it('meets the total exactly, more for the more sensitive, in proportion between floor and T', () => {
    fc.assert(
      fc.property(calibrated, budgets, fc.constantFrom(0, 0.5, 1, 2, 40), ({ shape, sensitivity }, budget, power) => {
        const entries = inProportion(0.1, power).allocate(shape, budget, sensitivity);
        const floor = Math.max(1, Math.floor(Math.min(0.1, 0.6 * budget) * shape.tokens));
        expect(sum(entries)).toBe(wanted(shape, budget));
        expect(entries.every((n) => n >= floor && n <= shape.tokens)).toBe(true);
        const byRank = ranked(sensitivity);
        for (const [rank, head] of byRank.entries()) {
          if (rank > 0) expect(entries[byRank[rank - 1]!]!).toBeGreaterThanOrEqual(entries[head]!);
        }
        // Heads strictly between the bounds share one level, up to the entry that rounding adds.
        const between = byRank.filter((head) => entries[head]! > floor + 1 && entries[head]! < shape.tokens);
        const positive = between.filter((head) => sensitivity[head]! > 0);
        const lows = positive.map((head) => (entries[head]! - 1) / sensitivity[head]! ** power);
        const highs = positive.map((head) => (entries[head]! + 1) / sensitivity[head]! ** power);
        if (positive.length > 1) expect(Math.max(...lows)).toBeLessThanOrEqual(Math.min(...highs) * (1 + 1e-6));
      }),
      { numRuns: 500 },
    );
  });

  it('is uniform at power 0 and two classes at a steep power', () => {
    const shape = { tokens: 1000, layers: 8, kvHeads: 4 };
    const sensitivity = Float32Array.from({ length: 32 }, (_, head) => 1 + ((head * 7) % 32));
    expect([...inProportion(0.2, 0).allocate(shape, 0.35, sensitivity)]).toEqual(Array(32).fill(350));
    expect(inProportion(0.2, 500).allocate(shape, 0.35, sensitivity)).toEqual(
      twoClasses(0.2).allocate(shape, 0.35, sensitivity),
    );
  });

  it('is what a calibrated policy does with a power', () => {
    const shape = { tokens: 1000, layers: 8, kvHeads: 4 };
    const sensitivity = Float32Array.from({ length: 32 }, (_, head) => head);
    const allocate = (power?: number) => createPolicy('calibrated-merge', { power }).allocate(shape, 0.35, sensitivity);
    expect(allocate(1)).toEqual(inProportion(0.2, 1).allocate(shape, 0.35, sensitivity));
    expect(allocate()).toEqual(twoClasses(0.2).allocate(shape, 0.35, sensitivity));
  });
});

describe('pyramid', () => {
  it('falls linearly over the layers, equal for the heads of one, with the budget as its mean', () => {
    fc.assert(
      fc.property(shapes, budgets, (shape, budget) => {
        const entries = pyramid(32).allocate(shape, budget);
        const mean = Math.max(1, Math.floor(budget * shape.tokens));
        const byLayer = Array.from({ length: shape.layers }, (_, layer) => [
          ...entries.subarray(layer * shape.kvHeads, (layer + 1) * shape.kvHeads),
        ]);
        expect(byLayer.every((layer) => layer.every((n) => n === layer[0]))).toBe(true);
        const lengths = byLayer.map((layer) => layer[0]!);
        expect(sum(lengths)).toBe(mean * shape.layers);
        const step = shape.layers > 1 ? (lengths[0]! - lengths.at(-1)!) / (shape.layers - 1) : 0;
        for (const [layer, n] of lengths.entries()) expect(Math.abs(lengths[0]! - layer * step - n)).toBeLessThan(1.5);
        expect(lengths.at(-1)!).toBeGreaterThanOrEqual(Math.min(mean, 32));
      }),
    );
  });

  it('leaves the last layer the window and a twentieth of the rest, or fills the first', () => {
    const column = (budget: number) => [...pyramid(32).allocate({ tokens: 2000, layers: 5, kvHeads: 1 }, budget)];
    expect(column(0.216)).toEqual([812, 622, 432, 242, 52]);
    expect(column(0.8)).toEqual([2000, 1800, 1600, 1400, 1200]);
  });
});
