import { describe, expect, test } from 'vitest';
import { rowOrders } from './run-layout.js';

describe('row orders of a run', () => {
  const shape = { kvHeads: 2, queryHeads: 4 };

  test('by head: KV head, slot, item, query head, token; every row is found again', () => {
    const slotOf = [1, 0, 1];
    const rowsPerItem = 2;
    const { headRows, toHeads, toItems } = rowOrders(shape, slotOf, 3, rowsPerItem);
    const expected: number[] = [];
    for (const head of [0, 1]) {
      for (const slot of [0, 1, 2]) {
        for (const item of [0, 1, 2].filter((i) => slotOf[i] === slot)) {
          for (const query of [0, 1]) {
            for (const token of [0, 1]) expected.push(((item * 2 + head) * 2 + query) * rowsPerItem + token);
          }
        }
      }
    }
    expect(toHeads).toEqual(expected);
    expect(headRows).toEqual([4, 8, 0, 4, 8, 0]);
    expect(toItems.map((place) => toHeads[place])).toEqual(expected.map((_, row) => row));
  });
});
