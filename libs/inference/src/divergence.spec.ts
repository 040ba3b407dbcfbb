import { describe, expect, test } from 'vitest';
import { divergence } from './divergence.js';

describe('divergence', () => {
  test('is zero between equal logits, whatever constant is added to a row', () => {
    const logits = Float32Array.of(1, 2, 3, 0.5, -1, 4);
    const shifted = logits.map((value, i) => value + (i < 3 ? 100 : -3));
    const { kl, agreement } = divergence(logits, shifted, 2);
    for (const value of kl) expect(value).toBeCloseTo(0, 5);
    expect(agreement).toBe(1);
  });

  test('is the definition on a distribution known by hand', () => {
    const exact = Float32Array.of(Math.log(0.5), Math.log(0.5));
    const other = Float32Array.of(Math.log(0.9), Math.log(0.1));
    const { kl, agreement } = divergence(exact, other, 1);
    expect(kl[0]).toBeCloseTo(0.5 * Math.log(0.5 / 0.9) + 0.5 * Math.log(0.5 / 0.1), 6);
    expect(agreement).toBe(1);
    expect(divergence(Float32Array.of(0, 1), Float32Array.of(1, 0), 1).agreement).toBe(0);
  });
});
