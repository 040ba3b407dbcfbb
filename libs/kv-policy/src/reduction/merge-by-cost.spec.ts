import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { createPolicy } from '../index.js';
import {
  best,
  budgets,
  expectWellFormed,
  type FilledHead,
  heads,
  indices,
  keptByBudget,
  membersOf,
  slowNeighbourhood,
} from '../testing/heads.js';

const policy = createPolicy('calibrated-merge');

/** `[T - 1]` cost of joining entries i and i + 1. */
function slowCosts(head: FilledHead): number[] {
  const score = [...slowNeighbourhood(head, head.attention.window)];
  const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
  const mean = sum(score) / sum(head.mass);
  const a = score.map((s, i) => (mean > 0 ? s / mean : 0) + 1e-4 * head.mass[i]!);
  return indices(head.entries - 1).map(
    (i) => ((a[i]! * a[i + 1]!) / (a[i]! + a[i + 1]!)) * Math.max(1 - head.similarity[i]!, 1e-4),
  );
}

/** Sinks and recent entries that must stand alone: 4 and 16, or what leaves one entry for those between. */
function slowEnds(n: number): { sinks: number; recent: number } {
  const sinks = Math.min(4, Math.floor((n - 1) / 2));
  return { sinks, recent: Math.min(16, n - 1 - sinks) };
}

describe('calibrated-merge', () => {
  it('joins the cheapest adjacent pairs between the ends, around the member with the largest score', () => {
    expect(policy.needs).toEqual({ attention: ['window'], similarity: true });
    expect(createPolicy('calibrated-merge', { scoring: 'questions' }).needs.attention).toEqual(['questions']);
    fc.assert(
      fc.property(heads, budgets, (head, budget) => {
        const n = keptByBudget(budget, head.entries);
        const plan = policy.plan(head, n);
        expect(plan.entries).toBe(n);
        expectWellFormed(plan, head.entries);
        expect(plan.target.every((target) => target >= 0)).toBe(true);
        if (n === head.entries) return;

        const members = membersOf(plan);
        const { sinks, recent } = slowEnds(n);
        expect(members.slice(0, sinks)).toEqual(indices(sinks).map((i) => [i]));
        expect(members.slice(n - recent)).toEqual(indices(recent).map((i) => [head.entries - recent + i]));

        const costs = slowCosts(head);
        const joinable = indices(head.entries - 1).slice(sinks, head.entries - 1 - recent);
        const joined = joinable.filter((i) => plan.target[i] === plan.target[i + 1]);
        expect(joined).toHaveLength(head.entries - n);
        const apart = joinable.filter((i) => plan.target[i] !== plan.target[i + 1]);
        const dearest = Math.max(...joined.map((i) => costs[i]!));
        const cheapestApart = Math.min(...apart.map((i) => costs[i]!));
        expect(dearest).toBeLessThanOrEqual(cheapestApart * (1 + 1e-5));

        const score = slowNeighbourhood(head, head.attention.window);
        expect([...plan.pivot]).toEqual(members.map((set) => best(set, score, 1)[0]));
      }),
      { numRuns: 500 },
    );
  });

  it('of equal pairs joins the earlier', () => {
    const flat = new Float32Array(40).fill(1);
    // Distinct enough at the ends of the pool that only the pairs between them tie.
    const head = { entries: 40, attention: { window: new Float32Array(40) }, similarity: flat.subarray(1), mass: flat };
    const sets = membersOf(policy.plan(head, 35));
    expect(sets[4]).toEqual([4, 5, 6, 7, 8, 9]);
    expect(sets.filter((set) => set.length > 1)).toHaveLength(1);
  });

  it('without any attention goes by the keys alone', () => {
    const similarity = Float32Array.from({ length: 59 }, (_, i) => ((i * 37) % 59) / 60);
    const mass = new Float32Array(60).fill(1);
    const head = { entries: 60, attention: { window: new Float32Array(60) }, similarity, mass };
    const plan = policy.plan(head, 50);
    const joined = indices(59).filter((i) => plan.target[i] === plan.target[i + 1]);
    expect(joined).toEqual(best(indices(59).slice(4, 43), similarity, 10).sort((a, b) => a - b));
  });

  it('merges unattended neighbours before attended ones of the same likeness', () => {
    const window = new Float32Array(60).fill(10);
    window.fill(0, 20, 30);
    const head = {
      entries: 60,
      attention: { window },
      similarity: new Float32Array(59).fill(0.5),
      mass: new Float32Array(60).fill(1),
    };
    // Two entries at either side are lifted by their neighbours' attention.
    expect(membersOf(policy.plan(head, 55)).find((set) => set.length > 1)).toEqual([22, 23, 24, 25, 26, 27]);
  });

  it('leaves apart what was merged before rather than fresh tokens as unattended and as unlike', () => {
    const mass = new Float32Array(60).fill(1);
    mass.fill(5, 10, 30);
    const head = { entries: 60, attention: { window: new Float32Array(60) }, similarity: new Float32Array(59), mass };
    const joined = membersOf(policy.plan(head, 46)).filter((set) => set.length > 1);
    // Fresh ones lie at 4 to 9 and at 30 to 43.
    expect(joined).toEqual([[4, 5, 6, 7, 8, 9], indices(10).map((i) => 30 + i)]);
  });

  it('says by its logit how many tokens a set stands for', () => {
    const head = {
      entries: 30,
      attention: { window: new Float32Array(30) },
      similarity: new Float32Array(29),
      mass: new Float32Array(30).fill(1),
    };
    const { combine, strays } = policy.plan(head, 25);
    expect(combine).toEqual({ sigma: 5, values: 'mean', logMass: true });
    expect(strays).toEqual({ to: 'nowhere' });
  });
});
