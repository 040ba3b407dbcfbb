import { WINDOW_TOKENS } from '@app/kv-policy';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { chunkBorders, PREFILL_CHUNK } from './prefix-reader.js';

test('chunks cover every token once, and the last one holds the whole window', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 9000 }), fc.boolean(), (tokens, longer) => {
      const borders = chunkBorders(tokens, longer);
      expect(borders[0]?.[0]).toBe(0);
      expect(borders.at(-1)?.[1]).toBe(tokens);
      for (const [i, [from, to]] of borders.entries()) {
        expect(from).toBe(i === 0 ? 0 : borders[i - 1]![1]);
        expect(to - from).toBeGreaterThan(0);
        expect(to - from).toBeLessThanOrEqual(longer && from >= 2048 ? 2 * PREFILL_CHUNK : PREFILL_CHUNK);
      }
      const [from, to] = borders.at(-1)!;
      expect(to - from).toBeGreaterThanOrEqual(Math.min(tokens, WINDOW_TOKENS));
    }),
  );
});

test('without longer ones all but the last two borders are whole chunks apart', () => {
  for (const [from] of chunkBorders(5000, false).slice(0, -1)) expect(from % PREFILL_CHUNK).toBe(0);
});
