import { describe, expect, test } from 'vitest';
import { sequencesBias, stepBias } from './tail-bias.js';

const NO = Number.NEGATIVE_INFINITY;

describe('tail bias', () => {
  test('a query sees the tail that is there and its own sequence up to itself, in every query head alike', () => {
    const bias = sequencesBias(2, [2, 1], { length: 1, capacity: 2 });
    const rows = [
      [0, NO, 0, NO, NO],
      [0, NO, 0, 0, NO],
      [0, NO, NO, NO, 0],
    ];
    expect([...bias]).toEqual([...rows, ...rows].flat());
  });

  test('in a step every item sees its own tail and its new token', () => {
    expect([...stepBias([3, 0, 1], 3)]).toEqual([0, 0, 0, 0, NO, NO, NO, 0, 0, NO, NO, 0]);
    expect([...stepBias([0, 0], 0)]).toEqual([0, 0]);
  });
});
