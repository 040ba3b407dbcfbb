import { createPolicy, DROPPED, type HeadPlan, type Strays } from '@app/kv-policy';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { applyPlan, type SourceEntries } from './merge-kernel.js';
import { seededRandom } from './random.js';

const range = (n: number) => Array.from({ length: n }, (_, i) => i);
const sum = (values: ArrayLike<number>) => Array.from(values).reduce((a, b) => a + b, 0);
const row = (a: ArrayLike<number>, i: number, size: number) => range(size).map((d) => a[i * size + d]!);
const dot = (a: number[], b: number[]) => sum(a.map((x, d) => x * b[d]!));
const cosine = (a: number[], b: number[]) => dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));

interface Case {
  readonly source: SourceEntries;
  readonly size: number;
  /** Kept entries, each alone; the others are dropped. */
  readonly kept: number[];
  readonly random: () => number;
}

const cases: fc.Arbitrary<Case> = fc
  .record({
    seed: fc.integer({ min: 1, max: 2 ** 30 }),
    entries: fc.integer({ min: 1, max: 40 }),
    size: fc.constantFrom(1, 3, 8),
  })
  .map(({ seed, entries, size }) => {
    const random = seededRandom(seed);
    const matrix = () => Float32Array.from({ length: entries * size }, () => random() * 4 - 2);
    const source = {
      keys: matrix(),
      values: matrix(),
      mass: Float32Array.from({ length: entries }, () => 1 + Math.floor(random() * 3)),
    };
    const kept = range(entries).filter(() => random() < 0.5);
    return { source, size, kept: kept.length > 0 ? kept : [entries - 1], random };
  });

function planOf({ source, kept }: Case, strays: Strays): HeadPlan {
  const target = new Int32Array(source.mass.length).fill(DROPPED);
  for (const [set, i] of kept.entries()) target[i] = set;
  const combine = { sigma: 1, values: 'mean', logMass: true } as const;
  return { entries: kept.length, target, pivot: Int32Array.from(kept), combine, strays };
}

function expectClose(found: ArrayLike<number>, expected: number[]) {
  expect(found).toHaveLength(expected.length);
  const worst = Math.max(0, ...expected.map((x, d) => Math.abs(x - found[d]!) / Math.max(1, Math.abs(x))));
  expect(worst).toBeLessThan(1e-5);
}

describe('merging dropped entries into the nearest kept one', () => {
  it.each(['mean', -1, 0.3, 1.1] as const)('equals the definition at threshold %s', (threshold) => {
    fc.assert(
      fc.property(cases, (given) => {
        const { source, size, kept } = given;
        // In one dimension every key is as near as any other.
        fc.pre(size > 1);
        const dropped = range(source.mass.length).filter((i) => !kept.includes(i));
        const key = (i: number) => row(source.keys, i, size);
        const found = dropped.map((i) => {
          const similarities = kept.map((pivot) => cosine(key(i), key(pivot)));
          const [similarity, next] = [...similarities].sort((a, b) => b - a);
          return { i, similarity: similarity!, next, set: similarities.indexOf(similarity!) };
        });
        // Which of two is nearer that are equally near but for rounding is left open, too.
        fc.pre(found.every((f) => f.next === undefined || f.similarity - f.next > 1e-6));
        const least = threshold === 'mean' ? sum(found.map((f) => f.similarity)) / found.length : threshold;
        // Whether a similarity that equals the threshold but for rounding counts is left open.
        fc.pre(found.every((f) => Math.abs(f.similarity - least) > 1e-6));
        const sets = kept.map((pivot, set) => [
          { i: pivot, weight: Math.E * source.mass[pivot]! },
          ...found
            .filter((f) => f.similarity >= least && f.set === set)
            .map((f) => ({ i: f.i, weight: Math.exp(f.similarity) * source.mass[f.i]! })),
        ]);
        const mean = (rows: Float32Array) =>
          sets.flatMap((set) => {
            const total = sum(set.map((member) => member.weight));
            return range(size).map((d) => sum(set.map(({ i, weight }) => (weight / total) * rows[i * size + d]!)));
          });

        const result = applyPlan(planOf(given, { to: 'nearest', threshold }), source, size);
        expectClose(result.keys, mean(source.keys));
        expectClose(result.values, mean(source.values));
        expect([...result.mass]).toEqual(sets.map((set) => sum(set.map(({ i }) => source.mass[i]!))));
        // As published: what joins an entry does not raise its logit.
        expectClose(
          result.logMass,
          kept.map((i) => Math.log(source.mass[i]!)),
        );
      }),
      { numRuns: 200 },
    );
  });

  it('takes a key of zeros for no likeness at all', () => {
    const source = {
      keys: Float32Array.of(1, 0, 0, 0, -1, 0),
      values: Float32Array.of(1, 1, 2, 2, 3, 3),
      mass: Float32Array.of(1, 1, 1),
    };
    const given = { source, size: 2, kept: [0], random: seededRandom(1) };
    const merged = applyPlan(planOf(given, { to: 'nearest', threshold: -0.5 }), source, 2);
    expectClose(merged.values, [(Math.E + 2) / (Math.E + 1), (Math.E + 2) / (Math.E + 1)]);
    expect([...merged.mass]).toEqual([2]);
  });
});

describe('adding dropped values to those that follow', () => {
  it('equals the definition', () => {
    fc.assert(
      fc.property(cases, fc.constantFrom(1, 3, 32), (given, reach) => {
        const { source, size, kept, random } = given;
        const weight = Float32Array.from(source.mass, () => (random() < 0.3 ? 0 : random()));
        const result = applyPlan(planOf(given, { to: 'following', reach, weight }), source, size);
        const values = kept.map((i) => row(source.values, i, size));
        for (const i of range(source.mass.length).filter((at) => !kept.includes(at))) {
          const takers = range(kept.length).filter((set) => kept[set]! > i);
          for (const set of takers.slice(0, reach)) {
            values[set] = values[set]!.map((v, d) => v + weight[i]! * source.values[i * size + d]!);
          }
        }
        expectClose(result.values, values.flat());
        expect([...result.keys]).toEqual(kept.flatMap((i) => row(source.keys, i, size)));
        expect([...result.mass]).toEqual(kept.map((i) => source.mass[i]));
      }),
      { numRuns: 300 },
    );
  });
});

describe('policies that place what they evict', () => {
  it.each(['cam', 'd2o'])('%s changes values of what it keeps, and h2o none', (name) => {
    const random = seededRandom(3);
    const [entries, size, n] = [60, 8, 20];
    const matrix = () => Float32Array.from({ length: entries * size }, () => random() * 2 - 1);
    const source = { keys: matrix(), values: matrix(), mass: new Float32Array(entries).fill(1) };
    const attention = { all: Float32Array.from({ length: entries }, () => random()) };
    const compress = (policy: string) => {
      const head = { entries, attention, similarity: new Float32Array(0), mass: source.mass };
      const plan = createPolicy(policy).plan(head, n);
      return { kept: applyPlan(plan, source, size), plan };
    };
    const changed = ({ kept, plan }: ReturnType<typeof compress>) =>
      range(n).filter((set) =>
        row(kept.values, set, size).some((v, d) => v !== source.values[plan.pivot[set]! * size + d]),
      ).length;
    expect(changed(compress(name))).toBeGreaterThan(5);
    expect(changed(compress('h2o'))).toBe(0);
    expect([...compress(name).kept.logMass]).toEqual(Array(n).fill(0));
  });
});
