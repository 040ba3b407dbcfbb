import { createPolicy, DROPPED, type HeadPlan, type MassMode } from '@app/kv-policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { adjacentSimilarity, applyPlan, type HeadEntries, type SourceEntries } from './merge-kernel.js';

type Vector = number[];
const row = (a: ArrayLike<number>, i: number, size: number): Vector =>
  Array.from({ length: size }, (_, d) => a[i * size + d]!);
const dot = (a: Vector, b: Vector) => a.reduce((sum, x, d) => sum + x * b[d]!, 0);
const sum = (a: ArrayLike<number>) => Array.from(a).reduce((s, x) => s + x, 0);
const range = (n: number) => Array.from({ length: n }, (_, i) => i);

/** Seeded, so that a failing case can be replayed from its seed alone (mulberry32). */
function generator(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

function randomSource(entries: number, size: number, random: () => number, mostMass: number, scale = 2): SourceEntries {
  const matrix = () => Float32Array.from({ length: entries * size }, () => (random() * 2 - 1) * scale);
  return {
    keys: matrix(),
    values: matrix(),
    mass: Float32Array.from({ length: entries }, () => 1 + Math.floor(random() * mostMass)),
  };
}

/** Sets of any shape, not only runs; some sources dropped. */
function randomPlan(entries: number, random: () => number, combine: HeadPlan['combine'], dropped: number): HeadPlan {
  const raw = range(entries).map(() => (random() < dropped ? DROPPED : Math.floor((random() * entries) / 2)));
  const order = [...new Set(raw.filter((t) => t !== DROPPED))];
  const target = Int32Array.from(raw, (t) => order.indexOf(t));
  const pivot = Int32Array.from(order, (_, set) => {
    const members = range(entries).filter((i) => target[i] === set);
    return members[Math.floor(random() * members.length)]!;
  });
  return { entries: order.length, target, pivot, combine, strays: { to: 'nowhere' } };
}

/** The definition, one set at a time in ordinary arrays. */
function slowApply(plan: HeadPlan, source: SourceEntries, size: number) {
  return range(plan.entries).map((set) => {
    const members = range(plan.target.length).filter((i) => plan.target[i] === set);
    const mass = sum(members.map((i) => source.mass[i]!));
    const key = (i: number) => row(source.keys, i, size);
    const pivot = key(plan.pivot[set]!);
    const gauss = members.map((i) => {
      const difference = key(i).map((x, d) => x - pivot[d]!);
      return Math.exp(-dot(difference, difference) / (2 * plan.combine.sigma ** 2));
    });
    const total = sum(members.map((i, m) => gauss[m]! * source.mass[i]!));
    const mean = (of: (i: number) => Vector) =>
      range(size).map((d) => sum(members.map((i, m) => (gauss[m]! * source.mass[i]! * of(i)[d]!) / total)));
    // A value counted before stands for the sum over its tokens, so its mean is taken first.
    const value =
      plan.combine.values === 'count'
        ? mean((i) => row(source.values, i, size).map((v) => v / source.mass[i]!)).map((v) => v * mass)
        : mean((i) => row(source.values, i, size));
    return { key: mean(key), value, mass, logMass: plan.combine.logMass ? Math.log(mass) : 0 };
  });
}

/** softmax(q.k / sqrt(size) + log-mass) . v */
function attend(
  query: Vector,
  keys: Float32Array,
  values: Float32Array,
  logMass: ArrayLike<number>,
  size: number,
): Vector {
  const logits = range(logMass.length).map((i) => dot(query, row(keys, i, size)) / Math.sqrt(size) + logMass[i]!);
  const largest = Math.max(...logits);
  const weights = logits.map((l) => Math.exp(l - largest));
  const total = sum(weights);
  return range(size).map((d) => sum(weights.map((w, i) => (w / total) * values[i * size + d]!)));
}

function expectClose(found: ArrayLike<number>, expected: Vector, tolerance = 1e-4) {
  expect(found).toHaveLength(expected.length);
  const worst = Math.max(0, ...expected.map((x, d) => Math.abs(x - found[d]!) / Math.max(1, Math.abs(x))));
  expect(worst).toBeLessThan(tolerance);
}

const seeds = fc.integer({ min: 1, max: 2 ** 30 });

describe('applyPlan', () => {
  it('equals the definition on random plans', () => {
    const combine = fc.record({
      sigma: fc.constantFrom(0.5, 5),
      values: fc.constantFrom('count' as const, 'mean' as const),
      logMass: fc.boolean(),
    });
    fc.assert(
      fc.property(
        seeds,
        fc.integer({ min: 1, max: 40 }),
        fc.constantFrom(1, 3, 8),
        combine,
        (seed, entries, size, how) => {
          const random = generator(seed);
          const source = randomSource(entries, size, random, 4);
          const plan = randomPlan(entries, random, how, 0.2);
          const kept = applyPlan(plan, source, size);
          const expected = slowApply(plan, source, size);
          expectClose(
            kept.keys,
            expected.flatMap((e) => e.key),
            1e-5,
          );
          expectClose(
            kept.values,
            expected.flatMap((e) => e.value),
            1e-5,
          );
          expectClose(
            kept.logMass,
            expected.map((e) => e.logMass),
            1e-6,
          );
          expect([...kept.mass]).toEqual(expected.map((e) => e.mass));
        },
      ),
      { numRuns: 300 },
    );
  });

  it('copies entries that stand alone to the bit, from buffers longer than the sequence', () => {
    const source = randomSource(12, 4, generator(1), 3);
    for (const policy of ['full', 'h2o']) {
      const statistics = {
        entries: 10,
        attention: { all: Float32Array.from(range(10), (i) => (i * 7) % 10) },
        similarity: new Float32Array(9),
        mass: source.mass,
      };
      const plan = createPolicy(policy).plan(statistics, 5);
      const kept = applyPlan(plan, source, 4);
      expect(kept.keys).toHaveLength(plan.entries * 4);
      plan.pivot.forEach((from, i) => {
        expect(row(kept.keys, i, 4)).toEqual(row(source.keys, from, 4));
        expect(row(kept.values, i, 4)).toEqual(row(source.values, from, 4));
        expect(kept.mass[i]).toBe(source.mass[from]);
        expect(kept.logMass[i]).toBe(Math.fround(Math.log(source.mass[from]!)));
      });
    }
  });

  it('falls back to the pivot where every other weight underflows', () => {
    const source = {
      keys: Float32Array.of(0, 1e4, -1e4),
      values: Float32Array.of(1, 2, 3),
      mass: Float32Array.of(1, 1, 1),
    };
    const combine = { sigma: 5, values: 'mean', logMass: true } as const;
    const kept = applyPlan(
      { entries: 1, target: new Int32Array(3), pivot: Int32Array.of(1), combine, strays: { to: 'nowhere' } },
      source,
      1,
    );
    expect([...kept.keys, ...kept.values, ...kept.mass]).toEqual([1e4, 2, 3]);
  });

  it('leaves the source as it was and refuses one that is too short', () => {
    const source = randomSource(6, 2, generator(2), 1);
    const before = structuredClone(source);
    const plan = randomPlan(6, generator(3), { sigma: 5, values: 'count', logMass: false }, 0);
    applyPlan(plan, source, 2);
    expect(source).toEqual(before);
    expect(() => applyPlan(plan, source, 3)).toThrow('Expected 6 entries of 3 values, found 12 key values');
  });
});

describe('merging equal keys', () => {
  /** Runs of equal keys under arbitrary values, in a policy that has room to join nothing but equal neighbours. */
  function compress(seed: number, run: number, budget: number, mass: MassMode, mostMass: number) {
    const size = 8;
    const random = generator(seed);
    const entries = run * (3 + Math.floor(random() * 5));
    const source = randomSource(entries, size, random, mostMass);
    for (let i = 0; i < entries; i++)
      source.keys.copyWithin(i * size, (i - (i % run)) * size, (i - (i % run) + 1) * size);
    const similarity = new Float32Array(entries - 1);
    adjacentSimilarity(source.keys, entries, size, similarity);
    const attention = Float32Array.from(range(entries), () => random() * 10);
    const policy = createPolicy('kvmerger', { mass });
    const n = policy.allocate({ tokens: entries, layers: 1, kvHeads: 1 }, budget)[0]!;
    const plan = policy.plan({ entries, attention: { all: attention }, similarity, mass: source.mass }, n);
    for (let i = 1; i < entries; i++) if (plan.target[i] === plan.target[i - 1]) expect(i % run).not.toBe(0);
    const kept = applyPlan(plan, source, size);
    expect(kept.mass).toHaveLength(n);
    expect(sum(kept.mass)).toBe(sum(source.mass));
    const query = range(size).map(() => random() * 4 - 2);
    const whole = attend(query, source.keys, source.values, source.mass.map(Math.log), size);
    return { whole, merged: attend(query, kept.keys, kept.values, kept.logMass, size) };
  }

  it('with log mass gives the attention output of the uncompressed cache', () => {
    fc.assert(
      fc.property(
        seeds,
        fc.integer({ min: 16, max: 24 }),
        fc.constantFrom(0.3, 0.4, 0.5, 0.6, 0.8, 0.95),
        fc.constantFrom(1, 5),
        (seed, run, budget, mostMass) => {
          const { whole, merged } = compress(seed, run, budget, 'log', mostMass);
          expectClose(merged, whole, 1e-4);
        },
      ),
      { numRuns: 150 },
    );
  });

  it.each(['count', 'none'] as const)('with mass %s gives another one', (mass) => {
    for (let seed = 1; seed <= 20; seed++) {
      const { whole, merged } = compress(seed, 16, 0.3, mass, 1);
      expect(Math.max(...whole.map((x, d) => Math.abs(x - merged[d]!)))).toBeGreaterThan(1e-3);
    }
  });

  it('with log mass merges twice as exactly as once', () => {
    const size = 2;
    const keys = Float32Array.from({ length: 12 }, (_, i) => (i % 2 === 0 ? 1 : -0.5));
    const values = Float32Array.from({ length: 12 }, (_, i) => Math.sin(i) * 3);
    const combine = { sigma: 5, values: 'mean', logMass: true } as const;
    const plan = (target: number[], pivot: number[]): HeadPlan => ({
      entries: pivot.length,
      target: Int32Array.from(target),
      pivot: Int32Array.from(pivot),
      combine,
      strays: { to: 'nowhere' },
    });
    const once: HeadEntries = applyPlan(
      plan([0, 0, 0, 1, 1, 2], [0, 3, 5]),
      { keys, values, mass: new Float32Array(6).fill(1) },
      size,
    );
    const twice = applyPlan(plan([0, 0, 0], [1]), once, size);
    expect([...twice.mass]).toEqual([6]);
    expectClose(
      attend([1, 2], twice.keys, twice.values, twice.logMass, size),
      attend([1, 2], keys, values, new Float32Array(6), size),
    );
  });
});

describe('adjacentSimilarity', () => {
  it('equals the cosine of neighbouring keys', () => {
    fc.assert(
      fc.property(seeds, fc.integer({ min: 1, max: 30 }), fc.constantFrom(1, 4, 7), (seed, entries, size) => {
        const { keys } = randomSource(entries + 2, size, generator(seed), 1);
        const out = new Float32Array(entries - 1);
        adjacentSimilarity(keys, entries, size, out);
        const length = (i: number) => Math.sqrt(dot(row(keys, i, size), row(keys, i, size)));
        const expected = range(entries - 1).map(
          (i) => dot(row(keys, i, size), row(keys, i + 1, size)) / (length(i) * length(i + 1)),
        );
        expectClose(out, expected, 1e-6);
      }),
    );
  });

  it('is 1 for equal keys, 0 beside a key of zeros, and writes no further than T - 1', () => {
    const out = new Float32Array(5).fill(9);
    adjacentSimilarity(Float32Array.of(3, 4, 3, 4, 0, 0, 1, 0, -2, 0), 5, 2, out);
    expect([...out]).toEqual([1, 0, 0, -1, 9]);
    expect(() => adjacentSimilarity(new Float32Array(7), 4, 2, out)).toThrow('Expected keys of 4 x 2 values');
  });
});
