import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  createPolicy,
  DROPPED,
  InvalidBudgetError,
  InvalidMassModeError,
  InvalidPolicyNumberError,
  InvalidScoringError,
  isPolicyName,
  MASS_MODES,
  policyNames,
  UnknownPolicyError,
} from './index.js';
import {
  best,
  budgets,
  everyKind,
  expectWellFormed,
  type FilledHead,
  heads,
  indices,
  keptByBudget,
  membersOf,
} from './testing/heads.js';

describe('every policy', () => {
  it.each(policyNames)('%s keeps exactly the entries it was allocated, in a well-formed plan', (name) => {
    const policy = createPolicy(name);
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const entries = policy.allocate({ tokens: head.entries, layers: 1, kvHeads: 1 }, budget)[0]!;
        expect(entries).toBe(name === 'full' ? head.entries : keptByBudget(budget, head.entries));
        const plan = policy.plan(head, entries);
        expect(plan.entries).toBe(entries);
        expectWellFormed(plan, head.entries);
      }),
      { numRuns: 500 },
    );
  });

  it.each(policyNames)('%s at budget 1 keeps everything as it is and reads no statistics', (name) => {
    const policy = createPolicy(name);
    expect([...policy.allocate({ tokens: 7, layers: 2, kvHeads: 3 }, 1)]).toEqual([7, 7, 7, 7, 7, 7]);
    const none = new Float32Array(0);
    const plan = policy.plan({ entries: 7, attention: {}, similarity: none, mass: new Float32Array(7).fill(1) }, 7);
    expect([...plan.target]).toEqual(indices(7));
    expect([...plan.pivot]).toEqual(indices(7));
  });

  it.each(policyNames)('%s answers NaN statistics with a well-formed plan of the same size', (name) => {
    const head = {
      entries: 40,
      attention: everyKind(new Float32Array(40).fill(Number.NaN, 5, 30)),
      similarity: new Float32Array(39).fill(Number.NaN, 10),
      mass: new Float32Array(40).fill(1),
    };
    const plan = createPolicy(name).plan(head, 14);
    expect(plan.entries).toBe(name === 'full' ? 40 : 14);
    expectWellFormed(plan, 40);
  });
});

describe('full', () => {
  it('keeps everything whatever the budget, and needs nothing', () => {
    const full = createPolicy('full');
    expect(full.needs).toEqual({ attention: [], similarity: false });
    expect([...full.allocate({ tokens: 10, layers: 1, kvHeads: 2 }, 0.1)]).toEqual([10, 10]);
    const none = new Float32Array(0);
    expect([...full.plan({ entries: 10, attention: {}, similarity: none, mass: none }, 1).target]).toEqual(indices(10));
  });
});

describe('h2o', () => {
  const h2o = createPolicy('h2o');

  it('keeps the floor(n / 2) most recent and the heaviest of the rest', () => {
    expect(h2o.needs).toEqual({ attention: ['all'], similarity: false });
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const n = keptByBudget(budget, head.entries);
        const recent = indices(head.entries).slice(head.entries - Math.floor(n / 2));
        const older = indices(head.entries - recent.length);
        const expected = [...best(older, head.attention.all, n - recent.length), ...recent].sort((a, b) => a - b);
        const plan = h2o.plan(head, n);
        expect([...plan.pivot]).toEqual(expected);
        expect(membersOf(plan)).toEqual(expected.map((i) => [i]));
        expect([...plan.target].filter((t) => t === DROPPED)).toHaveLength(head.entries - n);
      }),
      { numRuns: 500 },
    );
  });
});

describe('kvmerger', () => {
  const kvmerger = createPolicy('kvmerger');

  /** Shares of T, scaled down to n / 2 together. */
  function slowProtected(head: FilledHead, n: number): Set<number> {
    const [recentShare, attendedShare] = n >= Math.floor(0.45 * head.entries) ? [0.17, 0.12] : [0.08, 0.02];
    let recent = Math.floor(recentShare * head.entries);
    let attended = Math.floor(attendedShare * head.entries);
    const half = Math.floor(n / 2);
    const both = recent + attended;
    if (both > half) [recent, attended] = [Math.floor((recent * half) / both), Math.floor((attended * half) / both)];
    const older = indices(head.entries - recent);
    return new Set([...best(older, head.attention.all, attended), ...indices(head.entries).slice(older.length)]);
  }

  it('joins the T - n most similar unprotected adjacent pairs, around the most attended member', () => {
    expect(kvmerger.needs).toEqual({ attention: ['all'], similarity: true });
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const n = keptByBudget(budget, head.entries);
        const untouchable = n < head.entries ? slowProtected(head, n) : new Set(indices(head.entries));
        const pairs = indices(head.entries - 1).filter((i) => !untouchable.has(i) && !untouchable.has(i + 1));
        expect(pairs.length).toBeGreaterThanOrEqual(head.entries - n);
        const joined = new Set(best(pairs, head.similarity, head.entries - n));
        const sets: number[][] = [];
        for (const i of indices(head.entries)) {
          if (joined.has(i - 1)) sets.at(-1)!.push(i);
          else sets.push([i]);
        }
        const plan = kvmerger.plan(head, n);
        expect(membersOf(plan)).toEqual(sets);
        expect([...plan.pivot]).toEqual(sets.map((set) => best(set, head.attention.all, 1)[0]));
        for (const set of sets) if (set.some((i) => untouchable.has(i))) expect(set).toHaveLength(1);
      }),
      { numRuns: 1000 },
    );
  });

  it('drops nothing: the masses of the sets sum to the tokens', () => {
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const plan = kvmerger.plan(head, keptByBudget(budget, head.entries));
        const mass = membersOf(plan).map((set) => set.reduce((sum, i) => sum + head.mass[i]!, 0));
        expect(mass.reduce((a, b) => a + b, 0)).toBe(head.mass.reduce((a, b) => a + b, 0));
      }),
    );
  });

  it('meets every n of every small T when the attended entries lie as badly as they can', () => {
    for (let entries = 1; entries <= 120; entries++) {
      // Every second entry heavy: each protected one stands alone and breaks two pairs.
      const head = {
        entries,
        attention: { all: Float32Array.from({ length: entries }, (_, i) => (i % 2 === 1 ? 9 - i / 1000 : 1)) },
        similarity: new Float32Array(entries - 1).fill(0.5),
        mass: new Float32Array(entries).fill(1),
      };
      for (let n = 1; n <= entries; n++) {
        const plan = kvmerger.plan(head, n);
        expect(plan.entries).toBe(n);
        expect(plan.target[entries - 1]).toBe(n - 1);
      }
    }
  });

  it('protects the published shares, scaled down to half of what is kept', () => {
    const size = 1000;
    const falling = Float32Array.from({ length: size }, (_, i) => size - i);
    const constant = new Float32Array(size).fill(1);
    const firstJoined = (n: number) => {
      // Attention falls, so the attended entries are the first ones; similarity falls, so joining starts behind them.
      const plan = kvmerger.plan(
        { entries: size, attention: { all: falling }, similarity: falling, mass: constant },
        n,
      );
      return membersOf(plan).findIndex((set) => set.length > 1);
    };
    const aloneAtEnd = (n: number) => {
      const plan = kvmerger.plan(
        { entries: size, attention: { all: falling }, similarity: falling.slice().reverse(), mass: constant },
        n,
      );
      return membersOf(plan)
        .reverse()
        .findIndex((set) => set.length > 1);
    };
    // Kept -> attended and recent entries: 12 % and 17 % from 45 % on, 2 % and 8 % below.
    const expected = { 600: [120, 170], 500: [103, 146], 450: [93, 131], 449: [20, 80], 350: [20, 80], 100: [10, 40] };
    for (const [n, shares] of Object.entries(expected)) {
      expect([firstJoined(Number(n)), aloneAtEnd(Number(n))]).toEqual(shares);
    }
  });

  it('with a threshold joins every unprotected pair above it, and more only to keep no more than it may', () => {
    fc.assert(
      fc.property(heads, budgets, fc.constantFrom(-1, -0.2, 0, 0.6, 1), (head, budget, threshold) => {
        const n = keptByBudget(budget, head.entries);
        const policy = createPolicy('kvmerger', { threshold });
        expect(policy.exact).toBe(false);
        const untouchable = slowProtected(head, n);
        const pairs = indices(head.entries - 1).filter((i) => !untouchable.has(i) && !untouchable.has(i + 1));
        const alike = pairs.filter((i) => head.similarity[i]! > threshold);
        const joined = best(pairs, head.similarity, Math.max(alike.length, head.entries - n)).sort((a, b) => a - b);
        const plan = policy.plan(head, n);
        expect(plan.entries).toBe(head.entries - joined.length);
        expect(plan.entries).toBeLessThanOrEqual(n);
        expectWellFormed(plan, head.entries);
        expect(indices(head.entries - 1).filter((i) => plan.target[i] === plan.target[i + 1])).toEqual(joined);
      }),
      { numRuns: 300 },
    );
  });

  it('combines as its mass option says', () => {
    const head = {
      entries: 3,
      attention: { all: Float32Array.of(1, 2, 3) },
      similarity: Float32Array.of(1, 0),
      mass: new Float32Array(3).fill(1),
    };
    const combine = (mass?: (typeof MASS_MODES)[number]) => createPolicy('kvmerger', { mass }).plan(head, 2).combine;
    expect(combine()).toEqual({ sigma: 5, values: 'mean', logMass: true });
    expect(combine('log')).toEqual(combine());
    expect(combine('none')).toEqual({ sigma: 5, values: 'mean', logMass: false });
    expect(combine('count')).toEqual({ sigma: 5, values: 'count', logMass: false });
  });
});

describe('bad input', () => {
  it('names the known policies when one is unknown', () => {
    for (const name of ['', 'H2O', 'constructor', '__proto__', 'kvmerger ']) {
      expect(isPolicyName(name)).toBe(false);
      expect(() => createPolicy(name)).toThrow(UnknownPolicyError);
    }
    expect(() => createPolicy('zip')).toThrow(
      `Expected a compression policy of ${policyNames.join(', ')}, found 'zip'.`,
    );
    expect(isPolicyName(3)).toBe(false);
    expect(policyNames.every(isPolicyName)).toBe(true);
  });

  it.each([0, -0.1, 1.0001, 2, Number.NaN, Number.POSITIVE_INFINITY, '0.5', null, undefined])(
    'refuses budget %s',
    (budget) => {
      for (const name of policyNames) {
        const allocate = () => createPolicy(name).allocate({ tokens: 10, layers: 1, kvHeads: 1 }, budget as number);
        expect(allocate).toThrow(InvalidBudgetError);
        expect(allocate).toThrow(`found ${typeof budget === 'string' ? '"0.5"' : budget}.`);
      }
    },
  );

  it('scores ours by general questions where the own ones are not known, the published ones by their window', () => {
    const reads = (name: string) => createPolicy(name, { scoring: 'stand-ins' }).needs.attention;
    expect(reads('calibrated-merge')).toEqual(['questions']);
    expect(reads('calibrated-evict')).toEqual(['questions']);
    for (const name of ['snapkv', 'pyramidkv']) expect(reads(name)).toEqual(['window']);
    expect(reads('tova')).toEqual(['last']);
  });

  it('refuses settings that do not exist or are out of range', () => {
    expect(() => createPolicy('kvmerger', { mass: 'mean' as 'log' })).toThrow(InvalidMassModeError);
    expect(() => createPolicy('snapkv', { scoring: 'all' as 'window' })).toThrow(InvalidScoringError);
    expect(() => createPolicy('kvmerger', { threshold: 1.5 })).toThrow(
      'Expected a threshold from -1 to 1, found 1.5. Give a number in that range or leave it out.',
    );
    expect(() => createPolicy('kvmerger', { threshold: Number.NaN })).toThrow(InvalidPolicyNumberError);
  });

  it('refuses statistics that are too short and a number of entries that is none', () => {
    const short = new Float32Array(2);
    const head = { entries: 5, attention: { all: short }, similarity: short, mass: short };
    expect(() => createPolicy('h2o').plan(head, 3)).toThrow('Expected 5 values of attention (all), found 2.');
    expect(() => createPolicy('kvmerger').plan({ ...head, attention: { all: new Float32Array(5) } }, 3)).toThrow(
      'Expected 4 values of similarity, found 2.',
    );
    for (const n of [0, -1, 1.5, Number.NaN]) expect(() => createPolicy('h2o').plan(head, n)).toThrow(RangeError);
  });
});
