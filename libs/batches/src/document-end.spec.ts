import { expect, test } from 'vitest';
import { documentEnd } from './document-end.js';

const LINE_END = 7;
const ids = (...lineEnds: number[]): Int32Array => {
  const tokens = new Int32Array(1000);
  for (const end of lineEnds) tokens[end - 1] = LINE_END;
  return tokens;
};
const end = (tokens: Int32Array, shared: number, cut = 16): number =>
  documentEnd(tokens, shared, cut, (token) => token === LINE_END);

test('a document ends with the last line that ends near the end of what is shared', () => {
  expect(end(ids(300, 495, 500), 503)).toBe(500);
  expect(end(ids(500), 500)).toBe(500);
  expect(end(ids(485), 500)).toBe(485);
  expect(end(ids(484), 500)).toBe(500);
  expect(end(ids(501), 500)).toBe(500);
});

test('short ones end where they did', () => {
  expect(end(ids(256), 260)).toBe(256);
  expect(end(ids(255), 260)).toBe(260);
  expect(end(ids(10), 12)).toBe(12);
});
