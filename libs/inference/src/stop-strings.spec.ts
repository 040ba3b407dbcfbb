import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { StopStrings } from './stop-strings.js';

describe('stop strings', () => {
  test('end the answer before the first of them, also where one began pieces ago', () => {
    const answer = new StopStrings(['END', '\n\n']);
    expect(answer.push('one E')).toBeUndefined();
    expect(answer.push('N')).toBeUndefined();
    expect(answer.push('D two')).toBe('one ');
  });

  test('without any nothing stops', () => {
    const answer = new StopStrings([]);
    expect(answer.push('anything')).toBeUndefined();
    expect(answer.all).toBe('anything');
  });

  test('are found wherever the text is cut into pieces', () => {
    const text = fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom('a', 'b'), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(
        text,
        stops,
        fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 30, maxLength: 30 }),
        (whole, stop, cuts) => {
          const answer = new StopStrings(stop);
          let given = '';
          for (const cut of cuts) {
            const piece = whole.slice(given.length, given.length + cut);
            given += piece;
            const stopped = answer.push(piece);
            const first = Math.min(...stop.map((s) => given.indexOf(s)).filter((at) => at >= 0));
            expect(stopped).toBe(Number.isFinite(first) ? given.slice(0, first) : undefined);
            // Where a stop string could begin that what follows may complete.
            const open = [...given].findIndex((_, at) => stop.some((s) => s.startsWith(given.slice(at))));
            if (stopped === undefined) expect(answer.certain).toBe(open < 0 ? given.length : open);
            if (stopped !== undefined) return;
          }
          expect(answer.all).toBe(given);
        },
      ),
    );
  });
});
