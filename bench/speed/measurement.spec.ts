import { describe, expect, test } from 'vitest';
import { best, compare, type Measurement } from './measurement.js';

const row = (side: Measurement['side'], variant: string, values: number[], work = '512 tokens'): Measurement => ({
  section: 'prefill',
  work,
  side,
  variant,
  unit: 's/token',
  values,
  others: values.map(() => 0),
});

describe('comparison of sides', () => {
  test('takes the better setting of the peer and the ratio of each round', () => {
    const ours = row('longhaul', 'full', [1, 2, 4]);
    const slow = row('peer', 'off', [9, 9, 9]);
    const fast = row('peer', 'on', [3, 8, 4]);
    const [found, ...rest] = compare([ours, slow, fast]);
    expect(rest).toHaveLength(0);
    expect(found).toEqual({ ours, peer: fast, ratio: 3, low: 1, high: 4 });
  });

  test('compares only what both have done', () => {
    const rows = [row('longhaul', 'full', [1]), row('peer', 'on', [1], '2048 tokens')];
    expect(compare(rows)).toEqual([]);
    expect(compare([row('peer', 'on', [1])])).toEqual([]);
  });

  test('the best is the one with the smallest median, not the smallest value', () => {
    const steady = row('peer', 'steady', [3, 3, 3]);
    expect(best([row('peer', 'lucky once', [1, 9, 9]), steady])).toBe(steady);
    expect(best([])).toBeUndefined();
  });
});
