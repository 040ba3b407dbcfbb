import { expect, test } from 'vitest';
import { free } from './kv-memory.js';

test('what is freed is gone at once, the whole memory behind each array once', () => {
  const memory = new Float32Array(8);
  const [first, second] = [memory.subarray(0, 4), memory.subarray(4)];
  const other = new Uint16Array(3);
  free([first, second, other]);
  expect([memory, first, second, other].map(({ byteLength }) => byteLength)).toEqual([0, 0, 0, 0]);
});
