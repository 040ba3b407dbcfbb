import fc from 'fast-check';
import { expect, test } from 'vitest';
import { type FourBitBlocks, fourBitBlocks } from './four-bit-blocks.js';

const half = (bytes: Uint8Array, index: number): number => (bytes[index >> 1]! >> (4 * (index & 1))) & 15;

/** Of the inputs, then of the sums over their blocks. */
function restored({ codes, scales, zeroPoints }: FourBitBlocks, rows: number, row: number): number[] {
  const blocks = scales.length / rows;
  return Array.from({ length: blocks * 32 }, (_, column) => {
    const block = row * blocks + Math.floor(column / 32);
    const zero = half(zeroPoints.subarray(row * Math.ceil(blocks / 2)), Math.floor(column / 32));
    return (half(codes, row * blocks * 32 + column) - zero) * scales[block]!;
  });
}

test('values on 16 steps come back: their differences exactly, what is left of a block as weights of its sum', () => {
  const matrix = fc.record({
    rows: fc.integer({ min: 1, max: 3 }),
    blocks: fc.integer({ min: 1, max: 40 }),
    seed: fc.integer({ min: 1, max: 1000 }),
  });
  fc.assert(
    fc.property(matrix, ({ rows, blocks, seed }) => {
      const step = (block: number) => 0.01 * (1 + ((block * seed) % 7));
      const values = Float32Array.from({ length: rows * blocks * 32 }, (_, i) => {
        const block = Math.floor(i / 32);
        return (((i * seed) % 16) - 7.3 + (block % 3)) * step(block);
      });
      const columns = blocks * 32;
      const found = fourBitBlocks(values, rows, columns)!;
      for (let row = 0; row < rows; row++) {
        const weights = restored(found, rows, row);
        const [own, ofSums] = [weights.slice(0, columns), weights.slice(columns)];
        expect(ofSums.slice(blocks).every((weight) => weight === 0)).toBe(true);
        for (const [column, weight] of own.entries()) {
          const block = Math.floor(column / 32);
          // What is left is at most half a step, and its own steps are a seventh of the largest of those.
          const bound = ((0.07 * 2.5) / 7) * 0.51;
          expect(Math.abs(weight + ofSums[block]! - values[row * columns + column]!)).toBeLessThan(bound);
          const first = own[block * 32]!;
          const difference = values[row * columns + column]! - values[row * columns + block * 32]!;
          expect(weight - first).toBeCloseTo(difference, 5);
        }
      }
    }),
  );
});

test('a block of one value, and one of zeros', () => {
  const values = new Float32Array(64).fill(-0.5, 0, 32);
  const weights = restored(fourBitBlocks(values, 1, 64)!, 1, 0);
  expect(weights.slice(0, 64)).toEqual([...values]);
  expect(weights.slice(64).every((weight) => weight === 0)).toBe(true);
});

test('values off the steps, or no whole blocks, are not held in 4 bits', () => {
  const values = Float32Array.from({ length: 32 }, (_, i) => i % 16);
  expect(fourBitBlocks(values, 1, 32)).toBeDefined();
  values[5] = 5.01;
  expect(fourBitBlocks(values, 1, 32)).toBeUndefined();
  expect(fourBitBlocks(new Float32Array(48), 1, 48)).toBeUndefined();
});
