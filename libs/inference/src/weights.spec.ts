import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { BLOCK_SIZE, quantizeBlocks } from './quantize-blocks.js';
import { quantizeRows } from './quantize-rows.js';
import { ropeTable } from './rope-table.js';

describe('8-bit blocks', () => {
  test('every value comes back within half a step of its block', () => {
    const matrix = fc.record({
      rows: fc.integer({ min: 1, max: 4 }),
      columns: fc.integer({ min: 1, max: 70 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(matrix, ({ rows, columns, seed }) => {
        const values = Float32Array.from(
          { length: rows * columns },
          (_, i) => Math.sin(seed + i * 1.7) * 10 ** (i % 5),
        );
        const { codes, scales } = quantizeBlocks(values, rows, columns);
        const blocks = Math.ceil(columns / BLOCK_SIZE);
        expect(codes.length).toBe(rows * blocks * BLOCK_SIZE);
        expect(scales.length).toBe(rows * blocks);
        for (let row = 0; row < rows; row++) {
          for (let column = 0; column < blocks * BLOCK_SIZE; column++) {
            const scale = scales[row * blocks + Math.floor(column / BLOCK_SIZE)]!;
            const restored = (codes[row * blocks * BLOCK_SIZE + column]! - 128) * scale;
            const expected = column < columns ? values[row * columns + column]! : 0;
            expect(Math.abs(restored - expected)).toBeLessThanOrEqual(scale * 0.5001);
          }
        }
      }),
    );
  });

  test('a block of zeros stays zero', () => {
    const { codes, scales } = quantizeBlocks(new Float32Array(32), 1, 32);
    expect([...new Set(codes)]).toEqual([128]);
    expect(scales[0]).toBe(0);
  });
});

describe('8-bit rows', () => {
  test('every value comes back within half a step of its row, and the largest exactly', () => {
    const matrix = fc.record({
      rows: fc.integer({ min: 1, max: 5 }),
      columns: fc.integer({ min: 1, max: 40 }),
      seed: fc.nat(),
    });
    fc.assert(
      fc.property(matrix, ({ rows, columns, seed }) => {
        const values = Float32Array.from(
          { length: rows * columns },
          (_, i) => Math.sin(seed + i * 1.7) * 10 ** (i % 3),
        );
        const { codes, scales } = quantizeRows(values, rows, columns);
        expect(codes.length).toBe(rows * columns);
        for (let row = 0; row < rows; row++) {
          const original = values.subarray(row * columns, (row + 1) * columns);
          const restored = original.map((_, column) => codes[column * rows + row]! * scales[row]!);
          for (const [column, value] of original.entries()) {
            expect(Math.abs(restored[column]! - value)).toBeLessThanOrEqual(scales[row]! * 0.5001);
          }
          const largest = Math.max(...original.map(Math.abs));
          expect(Math.max(...restored.map(Math.abs))).toBeCloseTo(largest, 4);
        }
      }),
    );
  });

  test('a row of zeros stays zero', () => {
    const { codes, scales } = quantizeRows(Float32Array.of(0, 0, 1, -2), 2, 2);
    expect([...codes]).toEqual([0, 64, 0, -127]);
    expect(scales[0]).toBe(0);
  });
});

describe('RoPE table', () => {
  const rope = { contextLength: 8, ropeDimensions: 4, ropeBase: 100, ropeScale: 1, ropeFrequencyFactors: undefined };

  test('rotates pair i of position p by p * base^(-2i / d)', () => {
    const { cosine, sine } = ropeTable(rope);
    expect(cosine.length).toBe(16);
    expect(cosine[3 * 2 + 1]).toBeCloseTo(Math.cos(3 * 100 ** -0.5), 6);
    expect(sine[5 * 2]).toBeCloseTo(Math.sin(5), 6);
  });

  test('divides positions by the scale and frequencies by their factors', () => {
    const scaled = ropeTable({ ...rope, ropeScale: 2, ropeFrequencyFactors: Float32Array.of(1, 4) });
    expect(scaled.cosine[6 * 2]).toBeCloseTo(Math.cos(3), 6);
    expect(scaled.cosine[6 * 2 + 1]).toBeCloseTo(Math.cos((3 * 100 ** -0.5) / 4), 6);
  });
});
