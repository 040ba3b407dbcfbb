import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { commonSubsequence, rougeL } from './rouge-l.js';

/** Longest common subsequence by definition: the longest of all subsequences of `a` that `b` has too. */
function slowLength(a: readonly string[], b: readonly string[]): number {
  let longest = 0;
  for (let chosen = 0; chosen < 2 ** a.length; chosen++) {
    const subsequence = a.filter((_, i) => (chosen >> i) & 1);
    let matched = 0;
    for (const word of b) if (word === subsequence[matched]) matched++;
    if (matched === subsequence.length) longest = Math.max(longest, subsequence.length);
  }
  return longest;
}

describe('ROUGE-L', () => {
  test('of one sentence each is the F of the common subsequence over distinct words', () => {
    // common: police the gunman -> 3 of 4 words, 3 of 4 words
    expect(rougeL('police ended the gunman', 'police killed the gunman')).toBeCloseTo(0.75, 6);
    // common: the gunman -> 2 of 4 and 2 of 4: order counts
    expect(rougeL('the gunman kill police', 'police killed the gunman')).toBeCloseTo(0.5, 6);
  });

  test('counts a word once, however often it occurs', () => {
    // distinct: a b and a c; common: a
    expect(rougeL('a b a a', 'a c a')).toBeCloseTo(0.5, 6);
  });

  test('unites what is common over all pairs of sentences', () => {
    // with the first sentence w1 w2, with the second w1 w3 w5: 4 of 5 words expected, 4 of 8 answered
    const p = 4 / 8;
    const r = 4 / 5;
    expect(rougeL('w1 w2 w6 w7 w8. w1 w3 w8 w9 w5', 'w1 w2 w3 w4 w5.')).toBeCloseTo((2 * p * r) / (p + r), 6);
  });

  test('keeps case and punctuation, and is 0 of nothing', () => {
    expect(rougeL('Yes', 'yes')).toBe(0);
    expect(rougeL('yes,', 'yes')).toBe(0);
    expect(rougeL('', 'yes')).toBe(0);
    expect(rougeL('...', 'yes')).toBe(0);
    expect(rougeL('yes', 'yes')).toBeCloseTo(1, 6);
  });
});

test('a common subsequence is one of both lists, and as long as any', () => {
  const words = fc.array(fc.constantFrom('a', 'b', 'c'), { maxLength: 8 });
  fc.assert(
    fc.property(words, words, (a, b) => {
      const common = commonSubsequence(a, b);
      expect(common.length).toBe(slowLength(a, b));
      for (const list of [a, b]) {
        let matched = 0;
        for (const word of list) if (word === common[matched]) matched++;
        expect(matched).toBe(common.length);
      }
    }),
    { seed: 1 },
  );
});
