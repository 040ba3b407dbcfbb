import { expect, it } from 'vitest';
import { brokenTextAt } from './unicode-text.js';

it.each([
  [{ a: ['é', '😀', 1, null, { b: '\u0000' }] }, undefined],
  ['\ud83d', ''],
  [{ messages: [{ content: 'a' }, { content: 'b\ude00' }] }, 'messages[1].content'],
  [{ a: { 'x\ud800': 1 } }, 'a'],
  [{ a: [['\udc00\ud800']] }, 'a[0][0]'],
])('finds in %j the text that is none: %s', (value, path) => {
  expect(brokenTextAt(value)).toBe(path);
});
