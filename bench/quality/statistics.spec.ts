import { SeededRandom } from '@app/retrieval-tasks';
import { describe, expect, test } from 'vitest';
import { mean } from '../averages.js';
import { meanDifference, meanRatio, pairedBootstrap, quantile } from './statistics.js';

test('a quantile is linear between neighbours', () => {
  expect(quantile([1, 2, 4], 0)).toBe(1);
  expect(quantile([1, 2, 4], 0.25)).toBe(1.5);
  expect(quantile([1, 2, 4], 1)).toBe(4);
  expect(quantile([], 0.5)).toBeNaN();
});

describe('paired bootstrap', () => {
  test('keeps pairs together: a constant difference has no spread, however far the samples spread', () => {
    const a = Array.from({ length: 40 }, (_, i) => i * i);
    const found = pairedBootstrap(
      a.map((value) => value + 3),
      a,
      meanDifference,
    );
    expect(found.value).toBeCloseTo(3);
    expect(found.low).toBeCloseTo(3);
    expect(found.high).toBeCloseTo(3);
  });

  test('agrees with the normal interval of a mean', () => {
    const random = new SeededRandom(5);
    const a = Array.from({ length: 200 }, () => random.unit());
    const zero = a.map(() => 0);
    const { value, low, high } = pairedBootstrap(a, zero, meanDifference);
    const deviation = Math.sqrt(mean(a.map((x) => (x - mean(a)) ** 2)));
    const half = (1.96 * deviation) / Math.sqrt(200);
    expect(value).toBeCloseTo(mean(a), 12);
    expect(low).toBeCloseTo(value - half, 2);
    expect(high).toBeCloseTo(value + half, 2);
    const narrow = pairedBootstrap(a, zero, meanDifference, { level: 0.5 });
    expect(narrow.high - narrow.low).toBeLessThan((high - low) / 2);
  });

  test('is the same for the same seed', () => {
    const a = [1, 0, 0.5, 1, 0.25];
    const b = [1, 1, 0.5, 1, 0.5];
    expect(pairedBootstrap(a, b, meanRatio)).toEqual(pairedBootstrap(a, b, meanRatio));
    expect(pairedBootstrap(a, b, meanRatio).value).toBeCloseTo(2.75 / 4);
    expect(pairedBootstrap(a, b, meanDifference, { seed: 2, resamples: 50 })).not.toEqual(
      pairedBootstrap(a, b, meanDifference, { seed: 1, resamples: 50 }),
    );
  });

  test('leaves out draws without a finite figure and refuses lists that are no pairs', () => {
    const { low, high } = pairedBootstrap([0, 1], [0, 2], meanRatio);
    expect([low, high]).toEqual([0.5, 0.5]);
    expect(() => pairedBootstrap([], [], meanDifference)).toThrow(RangeError);
    expect(() => pairedBootstrap([1], [1, 2], meanDifference)).toThrow(RangeError);
  });
});
