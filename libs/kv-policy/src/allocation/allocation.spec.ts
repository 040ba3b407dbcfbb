import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy, policyNames } from '../index.js';
import { budgets } from '../testing/heads.js';
import type { CacheShape, HeadCalibration } from './allocation.js';
import { leastLoss } from './least-loss.js';
import { pyramid } from './pyramid.js';
import { twoClasses } from './two-classes.js';

const shapes: fc.Arbitrary<CacheShape> = fc.record({
  tokens: fc.oneof(fc.integer({ min: 1, max: 12 }), fc.integer({ min: 1, max: 9000 })),
  layers: fc.integer({ min: 1, max: 32 }),
  kvHeads: fc.integer({ min: 1, max: 4 }),
});
const heads = ({ layers, kvHeads }: CacheShape) => layers * kvHeads;
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);

const SHARES = Float32Array.of(0.02, 0.1, 0.4);

/** A calibration with these sensitivities, and losses that fall from them. */
const withSensitivity = (sensitivity: Float32Array): HeadCalibration => ({
  sensitivity,
  shares: SHARES,
  loss: Float32Array.from([...sensitivity].flatMap((s) => [s, s / 2, s / 8])),
});

/** Few levels among them make ties common. */
const levels = fc.oneof(fc.constantFrom(0, 0.5, 1), fc.float({ min: 0, max: 4, noNaN: true }));
const manyLevels = (count: number) =>
  fc.array(levels, { minLength: count, maxLength: count }).map((values) => Float32Array.from(values));

/** A shape with a calibration; the losses may rise with the share, as measured ones sometimes do. */
const calibrated = shapes.chain((shape) =>
  fc.record({
    shape: fc.constant(shape),
    calibration: fc.record({
      sensitivity: manyLevels(heads(shape)),
      shares: fc.constant(SHARES),
      loss: manyLevels(heads(shape) * SHARES.length),
    }),
  }),
);

/** Heads, most sensitive first, of equal ones the earlier first. */
const ranked = (sensitivity: Float32Array) =>
  [...sensitivity.keys()].sort((a, b) => sensitivity[b]! - sensitivity[a]! || a - b);

const wanted = (shape: CacheShape, budget: number) =>
  Math.max(heads(shape), Math.floor(budget * shape.tokens * heads(shape)));

describe('every policy', () => {
  it.each(policyNames)('%s without a calibration allocates floor(budget x T) a head, on average', (name) => {
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

  it('says whether it is calibrated; only those that are heed a calibration', () => {
    const shape = { tokens: 1000, layers: 4, kvHeads: 2 };
    const calibration = withSensitivity(Float32Array.of(1, 8, 3, 4, 2, 6, 7, 5));
    const heeding = policyNames.filter((name) => {
      const policy = createPolicy(name);
      const heeds = !Object.is(policy.allocate(shape, 0.35).join(), policy.allocate(shape, 0.35, calibration).join());
      expect(policy.calibrated).toBe(heeds);
      return heeds;
    });
    expect(heeding).toEqual(['calibrated-merge', 'calibrated-evict', 'duo-attention']);
  });

  it('refuses calibrations of another model and ones that are no numbers', () => {
    const policy = createPolicy('calibrated-merge');
    const shape = { tokens: 10, layers: 1, kvHeads: 2 };
    expect(() => policy.allocate(shape, 0.5, withSensitivity(new Float32Array(3)))).toThrow(
      'a calibration of 2 KV heads in finite numbers, found 3 sensitivities and 9 losses at 3 shares',
    );
    expect(() => policy.allocate(shape, 0.5, withSensitivity(Float32Array.of(1, Number.NaN)))).toThrow(RangeError);
  });
});

describe('two classes', () => {
  it('keeps the most sensitive heads whole, the others at the floor, and meets the total exactly', () => {
    fc.assert(
      fc.property(calibrated, budgets, fc.constantFrom(0.2, 0.05), ({ shape, calibration }, budget, floorShare) => {
        const { tokens } = shape;
        const entries = twoClasses(floorShare).allocate(shape, budget, calibration);
        const share = Math.min(floorShare, 0.6 * budget);
        const floor = Math.max(1, Math.floor(share * tokens));
        const byRank = ranked(calibration.sensitivity).map((head) => entries[head]!);
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
    const entries = twoClasses(0.2).allocate(shape, 0.35, withSensitivity(sensitivity));
    for (const [head, n] of entries.entries()) expect(n).toBe(sensitivity[head]! >= 26 ? 1000 : 200);
    expect(sum(entries)).toBe(11200);
  });

  it('takes the earlier of equal heads', () => {
    const equal = withSensitivity(new Float32Array(4));
    const entries = twoClasses(0.2).allocate({ tokens: 100, layers: 2, kvHeads: 2 }, 0.5, equal);
    expect([...entries]).toEqual([100, 60, 20, 20]);
  });
});

describe('least loss', () => {
  /** Loss of a head at every number of entries from the smallest measured one on: the least of all chords. */
  function convexLoss({ shares, loss }: HeadCalibration, head: number, tokens: number): number[] {
    const points = [...shares].map((share, i) => [
      Math.max(i === 0 ? 1 : 0, Math.floor(share * tokens)),
      loss[head * 3 + i]!,
    ]);
    points.push([tokens, 0]);
    const from = points[0]![0]!;
    return Array.from({ length: tokens - from + 1 }, (_, i) => {
      const n = from + i;
      let least = n === from ? points[0]![1]! : Number.POSITIVE_INFINITY;
      for (const [a, lossA] of points as [number, number][])
        for (const [b, lossB] of points as [number, number][])
          if (a >= from && a < b && a <= n && n <= b)
            least = Math.min(least, lossA + ((lossB - lossA) * (n - a)) / (b - a));
      return least;
    });
  }

  it('meets the total exactly', () => {
    fc.assert(
      fc.property(calibrated, budgets, ({ shape, calibration }, budget) => {
        const entries = leastLoss.allocate(shape, budget, calibration);
        const least = Math.max(1, Math.floor(SHARES[0]! * shape.tokens));
        const spread = wanted(shape, budget) > least * heads(shape);
        const mean = Math.max(1, Math.floor(budget * shape.tokens));
        expect(sum(entries)).toBe(spread ? wanted(shape, budget) : mean * heads(shape));
        expect(entries.every((n) => n >= (spread ? least : mean) && n <= shape.tokens)).toBe(true);
      }),
      { numRuns: 500 },
    );
  });

  it('loses no more than giving one entry at a time to the head that gains most by it', () => {
    const small = fc.record({
      // From 50 tokens on the shares measured are different numbers of entries.
      shape: fc.record({ tokens: fc.integer({ min: 50, max: 70 }), layers: fc.constant(3), kvHeads: fc.constant(2) }),
      loss: manyLevels(18),
    });
    fc.assert(
      fc.property(small, fc.double({ min: 0.05, max: 1, noNaN: true }), ({ shape, loss }, budget) => {
        const calibration = { sensitivity: new Float32Array(6), shares: SHARES, loss };
        const curves = Array.from({ length: 6 }, (_, head) => convexLoss(calibration, head, shape.tokens));
        const least = shape.tokens - curves[0]!.length + 1;
        const total = wanted(shape, budget);
        fc.pre(total > least * 6);
        const greedy = Array<number>(6).fill(least);
        const at = (head: number, n: number) => curves[head]![n - least] ?? Number.POSITIVE_INFINITY;
        for (let left = total - least * 6; left > 0; left--) {
          const gains = greedy.map((n, head) => at(head, n) - at(head, n + 1));
          greedy[gains.indexOf(Math.max(...gains))]!++;
        }
        const lossOf = (entries: ArrayLike<number>) => sum(Array.from(entries, (n, head) => at(head, n)));
        expect(lossOf(leastLoss.allocate(shape, budget, calibration))).toBeCloseTo(lossOf(greedy), 4);
      }),
      { numRuns: 300 },
    );
  });

  it('fills a head whole before another where an entry of it saves more, in both orders of heads', () => {
    const shape = { tokens: 100, layers: 1, kvHeads: 2 };
    const steep = {
      sensitivity: new Float32Array(2),
      shares: SHARES,
      loss: Float32Array.of(4, 3.6, 2.4, 0.2, 0.1, 0.05),
    };
    expect([...leastLoss.allocate(shape, 0.51, steep)]).toEqual([100, 2]);
    const turned = { ...steep, loss: Float32Array.of(0.2, 0.1, 0.05, 4, 3.6, 2.4) };
    expect([...leastLoss.allocate(shape, 0.55, turned)]).toEqual([10, 100]);
  });

  it('is uniform where the budget is no more than the smallest share measured', () => {
    const calibration = withSensitivity(Float32Array.of(1, 2));
    expect([...leastLoss.allocate({ tokens: 1000, layers: 1, kvHeads: 2 }, 0.015, calibration)]).toEqual([15, 15]);
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
