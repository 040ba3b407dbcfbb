import { createPolicy } from '@app/kv-policy';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { seededRandom } from './random.js';
import { ReadingHead } from './reading-head.js';

const SIZE = 3;
const sum = (values: Iterable<number>) => [...values].reduce((a, b) => a + b, 0);
const rows = (values: Float32Array, from: number, to: number, size = SIZE) => [
  ...values.subarray(from * size, to * size),
];

/** A head of so many fresh entries, as a layer of two KV heads gives them; and attention that each received. */
function filled(entries: number, capacity: number, seed: number): ReadingHead {
  const random = seededRandom(seed);
  const head = new ReadingHead(capacity, SIZE, ['all', 'window']);
  const layer = () => Float32Array.from({ length: entries * 2 * SIZE }, () => random() * 2 - 1);
  head.append(layer(), layer(), SIZE, 2 * SIZE);
  const received = Float32Array.from({ length: 2 * (entries + 5) }, () => Math.floor(random() * 9));
  head.addAttention(['window', 'all'], received);
  return head;
}

describe('a head while it is read', () => {
  test('takes its own rows of a layer and its own sums of attention', () => {
    const head = new ReadingHead(4, 2, ['all', 'last']);
    head.append(Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8), Float32Array.of(9, 8, 7, 6, 5, 4, 3, 2), 2, 4);
    expect([...head.keys]).toEqual([3, 4, 7, 8, 0, 0, 0, 0]);
    expect([...head.values]).toEqual([7, 6, 3, 2, 0, 0, 0, 0]);
    head.addAttention(['last', 'all'], Float32Array.of(1, 2, 3, 4, 5, 6));
    head.addAttention(['all'], Float32Array.of(10, 10));
    expect([...head.attention.all!]).toEqual([14, 15, 6, 0]);
    expect([...head.attention.last!]).toEqual([1, 2, 3, 0]);
    expect(() => head.append(new Float32Array(12), new Float32Array(12), 0, 4)).toThrow(RangeError);
  });

  test.each(['calibrated-merge', 'kvmerger', 'h2o', 'd2o', 'streaming-llm'])(
    'compresses what is older again and again by %s, and loses no mass it is not told to drop',
    (name) => {
      const policy = createPolicy(name);
      const merges = name === 'calibrated-merge' || name === 'kvmerger';
      fc.assert(
        fc.property(
          fc.integer({ min: 1, max: 2 ** 30 }),
          fc.integer({ min: 2, max: 60 }),
          fc.nat(20),
          fc.nat(30),
          (seed, older, recent, capacity) => {
            const count = older + recent;
            const head = filled(count, count + capacity, seed);
            const before = {
              keys: head.keys.slice(),
              values: head.values.slice(),
              all: head.attention.all!.slice(0, count),
            };
            for (let wanted = older - 1; wanted >= 1; wanted = Math.floor(wanted / 2)) {
              head.compressOlder(policy, wanted, recent);
              expect(head.entries).toBe(wanted + recent);
              expect(rows(head.keys, wanted, head.entries)).toEqual(rows(before.keys, older, count));
              expect(rows(head.values, wanted, head.entries)).toEqual(rows(before.values, older, count));
              expect(rows(head.attention.all!, wanted, head.entries, 1)).toEqual(rows(before.all, older, count, 1));
              if (!merges) continue;
              expect(sum(head.mass.subarray(0, head.entries))).toBe(count);
              expect(sum(head.attention.all!)).toBeCloseTo(sum(before.all), 3);
              expect([...head.logMass]).toEqual([...head.mass.map(Math.log)]);
            }
            // What is left free is as new.
            expect(new Set(head.mass.subarray(head.entries))).toEqual(new Set(capacity + older > 1 ? [1] : []));
            expect(sum(head.attention.window!.subarray(head.entries))).toBe(0);
          },
        ),
        { numRuns: 60 },
      );
    },
  );
});
