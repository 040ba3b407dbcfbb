import fc from 'fast-check';
import { expect, test } from 'vitest';
import { headFeeds, holdHead } from './held-prefix.js';

test('every number of an entry is found where the graph looks for it, and entry 0 is what marks the own', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 200 }), fc.integer({ min: 1, max: 70 }), (entries, headSize) => {
      const numbers = (count: number, first: number) => Float32Array.from({ length: count }, (_, i) => first + i);
      // As of a cache that has room for more.
      const rows = { keys: numbers((entries + 3) * headSize, 1), values: numbers((entries + 3) * headSize, 50_000) };
      const logMass = numbers(entries, 100_000);
      const held = holdHead({ ...rows, logMass }, headSize);
      const key = (entry: number) => [
        ...rows.keys.subarray(entry * headSize, (entry + 1) * headSize),
        logMass[entry],
        0,
      ];
      const each = Array.from({ length: entries }, (_, entry) => entry);
      const mark = [...new Array<number>(headSize + 1).fill(0), Math.fround(Math.sqrt(headSize))];
      expect([...held.keys]).toEqual([...mark, ...each.flatMap(key)]);
      const channels = Array.from({ length: headSize }, (_, d) => [
        0,
        ...each.map((i) => rows.values[i * headSize + d]!),
      ]);
      expect([...held.values]).toEqual(channels.flat());
      const dims = Object.values(headFeeds(0, 0, headSize, held)).map((tensor) => tensor.dims);
      expect(dims).toEqual([
        [1 + entries, headSize + 2],
        [headSize, 1 + entries],
      ]);
    }),
    { numRuns: 30 },
  );
});
