import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { HeadStatistics } from '../plan.js';
import { inEqualShares } from './in-equal-shares.js';
import { largestAround } from './largest-around.js';
import { receivedAttention } from './received-attention.js';

const values = fc.array(fc.oneof(fc.constantFrom(0, 1), fc.float({ min: 0, max: 9, noNaN: true })), {
  minLength: 1,
  maxLength: 80,
});
const head = (window: readonly number[], all: readonly number[] = window): HeadStatistics => ({
  entries: window.length,
  attention: { window: Float32Array.from(window), all: Float32Array.from(all) },
  similarity: new Float32Array(0),
  mass: new Float32Array(window.length).fill(1),
});

describe('largest around', () => {
  it('is the largest of an entry and its neighbours on both sides', () => {
    fc.assert(
      fc.property(values, fc.constantFrom(1, 3, 5, 17), (window, width) => {
        const around = largestAround(receivedAttention('window'), width).of(head(window));
        const reach = (width - 1) / 2;
        const slow = window.map((_, i) => Math.max(...window.slice(Math.max(0, i - reach), i + reach + 1)));
        expect([...around]).toEqual([...Float32Array.from(slow)]);
      }),
    );
  });
});

describe('in equal shares', () => {
  it('adds two scores of total 1, and reads what both need', () => {
    const score = inEqualShares(receivedAttention('window'), receivedAttention('all'));
    expect(score.needs.attention).toEqual(['window', 'all']);
    fc.assert(
      fc.property(values, (window) => {
        const all = window.map((value, i) => value * 1000 + i);
        const [totalWindow, totalAll] = [window, all].map((list) => list.reduce((a, b) => a + b, 0));
        const slow = window.map(
          (v, i) => (totalWindow! > 0 ? v / totalWindow! : 0) + (totalAll! > 0 ? all[i]! / totalAll! : 0),
        );
        const sum = score.of(head(window, all));
        for (const [i, value] of slow.entries()) expect(sum[i]!).toBeCloseTo(value, 4);
      }),
    );
  });
});
