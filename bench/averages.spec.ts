import { expect, test } from 'vitest';
import { mean, median } from './averages.js';

test('mean and median', () => {
  expect(mean([1, 2, 6])).toBe(3);
  expect(median([6, 1, 2])).toBe(2);
  expect(median([4, 1, 3, 2])).toBe(2.5);
});
