import fc from 'fast-check';
import { expect, it } from 'vitest';
import { markLargest } from './mark-largest.js';

const numbers = fc.array(fc.oneof(fc.integer({ min: -2, max: 2 }), fc.float()), { maxLength: 60 });

it('marks what sorting by (value, position) puts first', () => {
  fc.assert(
    fc.property(
      numbers,
      fc.infiniteStream(fc.boolean()),
      fc.double({ min: 0, max: 1, noNaN: true }),
      (list, coin, share) => {
        const values = Float32Array.from(list);
        const eligible = Uint8Array.from(list, () => (coin.next().value ? 1 : 0));
        const order = [...values.keys()].filter((i) => eligible[i] === 1);
        const key = (i: number) => (Number.isNaN(values[i]) ? Number.NEGATIVE_INFINITY : values[i]!);
        order.sort((a, b) => (key(a) === key(b) ? a - b : key(b) - key(a)));
        const count = Math.floor(share * order.length);
        const marks = markLargest(values, values.length, count, eligible);
        expect([...marks.keys()].filter((i) => marks[i] === 1)).toEqual(order.slice(0, count).sort((a, b) => a - b));
      },
    ),
    { numRuns: 500 },
  );
});

it('refuses to mark more than there are', () => {
  expect(() => markLargest(Float32Array.of(1, 2), 2, 2, Uint8Array.of(1, 0))).toThrow(
    'Expected at least 2 values to choose from, found 1.',
  );
});
