import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { GROUPING_LIMITS, type GroupingLimits, groupByPrefix, type PrefixGroup } from './prefix-groups.js';

/** A run of ids that shares nothing with another seed's. */
const run = (seed: number, length: number): number[] => Array.from({ length }, (_, i) => seed * 100_000 + i);
const prompt = (...runs: number[][]): Int32Array => Int32Array.from(runs.flat());
const members = (groups: PrefixGroup[]) => groups.map((group) => group.members);

/** Tokens that are prefilled or fed as suffixes: what grouping is there to keep small. */
const tokensRead = (groups: PrefixGroup[], prompts: Int32Array[]): number =>
  groups.reduce(
    (sum, { prefixLength, members: group }) =>
      sum + prefixLength + group.reduce((rest, member) => rest + prompts[member]!.length - prefixLength, 0),
    0,
  );

/** All partitions of 0..n-1. */
function* partitions(n: number): Generator<number[][]> {
  if (n === 0) {
    yield [];
    return;
  }
  for (const rest of partitions(n - 1)) {
    for (let i = 0; i < rest.length; i++) yield rest.map((group, j) => (i === j ? [...group, n - 1] : group));
    yield [...rest, [n - 1]];
  }
}

describe('groupByPrefix', () => {
  it('parts two documents behind one system prompt', () => {
    const system = run(1, 300);
    const documents = [run(2, 5000), run(3, 5000)];
    const prompts = [0, 1, 0, 1, 0].map((d, q) => prompt(system, documents[d]!, run(10 + q, 20)));
    expect(groupByPrefix(prompts)).toEqual([
      { prefixLength: 5300, members: [0, 2, 4] },
      { prefixLength: 5300, members: [1, 3] },
    ]);
  });

  it('keeps questions that begin alike in their document’s group', () => {
    const document = run(1, 3000);
    const prompts = [0, 1, 2, 3].map((q) => prompt(document, run(q < 2 ? 5 : 6, 8), run(10 + q, 5)));
    expect(groupByPrefix(prompts)).toEqual([{ prefixLength: 3000, members: [0, 1, 2, 3] }]);
  });

  it('shares a system prompt among what shares nothing more', () => {
    const system = run(1, 300);
    const document = run(2, 5000);
    const prompts = [
      prompt(system, run(10, 20)),
      prompt(system, document, run(11, 20)),
      prompt(system, run(12, 20)),
      prompt(system, document, run(13, 20)),
      prompt(system, run(14, 20)),
    ];
    expect(groupByPrefix(prompts)).toEqual([
      { prefixLength: 300, members: [0, 2, 4] },
      { prefixLength: 5300, members: [1, 3] },
    ]);
  });

  it('leaves alone what shares less than 256 tokens, 32 of its own tokens outside the prefix', () => {
    const prompts = [prompt(run(1, 255), run(2, 100)), prompt(run(1, 255), run(3, 10)), prompt(run(9, 20))];
    expect(groupByPrefix(prompts)).toEqual([
      { prefixLength: 323, members: [0] },
      { prefixLength: 233, members: [1] },
      { prefixLength: 19, members: [2] },
    ]);
    expect(groupByPrefix([prompt(run(1, 256), [1]), prompt(run(1, 256), [2])])).toHaveLength(1);
  });

  it('leaves a suffix token to equal prompts and to one that another begins with', () => {
    expect(groupByPrefix([prompt(run(1, 400)), prompt(run(1, 400)), prompt(run(1, 500))])).toEqual([
      { prefixLength: 399, members: [0, 1, 2] },
    ]);
  });

  it('cuts large groups evenly', () => {
    const prompts = Array.from({ length: 130 }, (_, q) => prompt(run(1, 300), [q, q]));
    const groups = groupByPrefix(prompts);
    expect(groups.map((group) => group.members.length).sort()).toEqual([43, 43, 44]);
    for (const { prefixLength, siblings } of groups) {
      expect(prefixLength).toBe(300);
      expect([...siblings!].sort((a, b) => a - b)).toEqual(prompts.map((_, i) => i));
    }
  });

  it('has nothing to do for nothing', () => {
    expect(groupByPrefix([])).toEqual([]);
  });

  /** Prompts over two token ids share long beginnings in all ways. */
  const prompts = fc.array(
    fc.array(fc.integer({ min: 0, max: 1 }), { minLength: 2, maxLength: 14 }).map((ids) => Int32Array.from(ids)),
    { maxLength: 24 },
  );
  const limits: GroupingLimits = { minSharedTokens: 4, maxItems: 6, aloneSuffixTokens: 3 };

  it('puts every item into one group with a common prefix and a suffix', () => {
    fc.assert(
      fc.property(prompts, (all) => {
        const groups = groupByPrefix(all, limits);
        expect(
          members(groups)
            .flat()
            .sort((a, b) => a - b),
        ).toEqual(all.map((_, i) => i));
        for (const { prefixLength, members: group } of groups) {
          expect(group.length).toBeLessThanOrEqual(limits.maxItems);
          expect(prefixLength).toBeGreaterThanOrEqual(1);
          const prefix = all[group[0]!]!.subarray(0, prefixLength);
          for (const member of group) {
            expect(all[member]!.subarray(0, prefixLength)).toEqual(prefix);
            expect(all[member]!.length).toBeGreaterThan(prefixLength);
          }
          // One less than the minimum where a prompt had to give a token up as its suffix.
          if (group.length > 1) expect(prefixLength).toBeGreaterThanOrEqual(limits.minSharedTokens - 1);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('does not depend on the order of the items', () => {
    fc.assert(
      fc.property(prompts, (all) => {
        const reversed = groupByPrefix([...all].reverse(), limits);
        expect(tokensRead(reversed, [...all].reverse())).toBe(tokensRead(groupByPrefix(all, limits), all));
      }),
    );
  });

  it('reads nearly as few tokens as the best of all partitions', () => {
    const few = fc.array(
      fc.array(fc.constantFrom(1, 2, 3), { minLength: 3, maxLength: 4 }).map((path) =>
        // Paths of 300-token runs, with a token of its own at the end.
        prompt(...path.map((branch, level) => run(branch + 10 * level, 300)), [7]),
      ),
      { minLength: 1, maxLength: 6 },
    );
    let read = 0;
    let best = 0;
    fc.assert(
      fc.property(few, (all) => {
        const costs = [...partitions(all.length)].map((groups) =>
          tokensRead(
            groups.map((group) => {
              const shared = group.length === 1 ? 0 : sharedTokens(group.map((member) => all[member]!));
              return { members: group, prefixLength: shared < GROUPING_LIMITS.minSharedTokens ? 0 : shared };
            }),
            all,
          ),
        );
        read += tokensRead(groupByPrefix(all), all);
        best += Math.min(...costs);
      }),
      { numRuns: 200 },
    );
    expect(read).toBeLessThan(best * 1.03);
  });
});

/** The obvious way. */
function sharedTokens(all: Int32Array[]): number {
  let length = 0;
  while (all.every((ids) => length < ids.length - 1 && ids[length] === all[0]![length])) length++;
  return length;
}
