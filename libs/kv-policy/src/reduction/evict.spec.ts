import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy, DROPPED, type PolicyOptions } from '../index.js';
import type { AttentionKind } from '../plan.js';
import {
  best,
  budgets,
  type FilledHead,
  heads,
  indices,
  keptByBudget,
  membersOf,
  slowNeighbourhood,
  slowPool,
} from '../testing/heads.js';

/** The ends first, as far as there is room for them, then the best of what lies between. */
function slowKept(score: ArrayLike<number>, n: number, sinks: number, recent: number): number[] {
  const all = indices(score.length);
  const first = all.slice(0, Math.min(sinks, Math.floor(n / 2)));
  const last = all.slice(all.length - Math.min(recent, n - first.length));
  const between = all.slice(first.length, all.length - last.length);
  return [...first, ...best(between, score, n - first.length - last.length), ...last].sort((a, b) => a - b);
}

interface Expected {
  readonly policy: string;
  readonly options?: PolicyOptions;
  readonly reads: AttentionKind[];
  readonly kept: (head: FilledHead, n: number) => number[];
}

const lastOnes = (head: FilledHead) => indices(head.entries);
const questions: PolicyOptions = { scoring: 'questions' };
const POLICIES: Expected[] = [
  { policy: 'streaming-llm', reads: [], kept: (head, n) => slowKept(lastOnes(head), n, 4, 0) },
  { policy: 'duo-attention', reads: [], kept: (head, n) => slowKept(lastOnes(head), n, 4, 0) },
  { policy: 'tova', reads: ['last'], kept: (head, n) => slowKept(head.attention.last, n, 0, 0) },
  {
    policy: 'tova',
    options: questions,
    reads: ['questions'],
    kept: (h, n) => slowKept(h.attention.questions, n, 0, 0),
  },
  { policy: 'cam', reads: ['all'], kept: (h, n) => slowKept(h.attention.all, n, 0, Math.floor(n / 2)) },
  { policy: 'd2o', reads: ['all'], kept: (h, n) => slowKept(h.attention.all, n, 4, Math.floor(n / 4)) },
  ...(['snapkv', 'pyramidkv'] as const).flatMap((policy): Expected[] => [
    { policy, reads: ['window'], kept: (h, n) => slowKept(slowPool(h.attention.window), n, 0, 32) },
    {
      policy,
      options: questions,
      reads: ['questions'],
      kept: (h, n) => slowKept(slowPool(h.attention.questions), n, 0, 32),
    },
  ]),
  {
    policy: 'calibrated-evict',
    reads: ['window'],
    kept: (h, n) => slowKept(slowNeighbourhood(h, h.attention.window), n, 4, 16),
  },
  {
    policy: 'calibrated-evict',
    options: questions,
    reads: ['questions'],
    kept: (h, n) => slowKept(slowNeighbourhood(h, h.attention.questions), n, 4, 16),
  },
];

describe.each(POLICIES)('$policy $options', ({ policy: name, options, reads, kept }) => {
  const policy = createPolicy(name, options);

  it('keeps its ends and the largest scores, and drops the rest', () => {
    expect(policy.needs).toEqual({ attention: reads, similarity: false });
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const n = keptByBudget(budget, head.entries);
        const expected = kept(head, n);
        const plan = policy.plan(head, n);
        expect([...plan.pivot]).toEqual(expected);
        expect(membersOf(plan)).toEqual(expected.map((i) => [i]));
        expect([...plan.target].filter((t) => t === DROPPED)).toHaveLength(head.entries - n);
      }),
      { numRuns: 300 },
    );
  });
});

describe('where evicted entries go', () => {
  it('is nowhere but in cam and d2o', () => {
    fc.assert(
      fc.property(heads, (head) => {
        for (const name of [
          'h2o',
          'snapkv',
          'pyramidkv',
          'tova',
          'streaming-llm',
          'duo-attention',
          'calibrated-evict',
        ]) {
          expect(createPolicy(name).plan(head, 1).strays).toEqual({ to: 'nowhere' });
        }
        if (head.entries === 1) return;
        expect(createPolicy('d2o').plan(head, 1).strays).toEqual({ to: 'nearest', threshold: 'mean' });
      }),
      { numRuns: 20 },
    );
  });

  it('cam spreads each value over the 32 kept ones that follow, less where these are attended more', () => {
    const cam = createPolicy('cam');
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const plan = cam.plan(head, keptByBudget(budget, head.entries));
        const { strays } = plan;
        if (plan.entries === head.entries) return;
        if (strays.to !== 'following') throw new Error(strays.to);
        expect(strays.reach).toBe(32);
        for (const i of indices(head.entries).filter((at) => plan.target[at] === DROPPED)) {
          const takers = [...plan.pivot].filter((at) => at > i).slice(0, 32);
          const score = head.attention.all[i]!;
          const mean = takers.reduce((sum, at) => sum + head.attention.all[at]!, 0) / takers.length;
          const whole = score === 0 || takers.length === 0 ? 0 : Math.min(1, score / mean);
          expect(strays.weight[i]! * takers.length).toBeCloseTo(whole, 5);
        }
      }),
      { numRuns: 300 },
    );
  });
});
