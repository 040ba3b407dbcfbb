import { describe, expect, it } from 'vitest';
import { isTooDeep, MAX_JSON_DEPTH } from './json-depth.js';

const lists = (depth: number): unknown => JSON.parse('['.repeat(depth) + ']'.repeat(depth));
const objects = (depth: number): unknown => JSON.parse(`${'{"a":'.repeat(depth - 1)}{}${'}'.repeat(depth - 1)}`);

describe('isTooDeep', () => {
  it('takes what is nested up to the limit and nothing deeper', () => {
    for (const nested of [lists, objects]) {
      expect(isTooDeep(nested(MAX_JSON_DEPTH))).toBe(false);
      expect(isTooDeep(nested(MAX_JSON_DEPTH + 1))).toBe(true);
      expect(isTooDeep(nested(1_000_000))).toBe(true);
    }
    expect(isTooDeep([1, { a: 'x' }, lists(MAX_JSON_DEPTH)])).toBe(true);
  });

  it('takes what is wide and what is no container', () => {
    for (const value of [null, 1, 'x', undefined, [], {}]) expect(isTooDeep(value)).toBe(false);
    expect(isTooDeep(new Array(500_000).fill([1]))).toBe(false);
  });
});
