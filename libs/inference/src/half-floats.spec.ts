import { expect, test } from 'vitest';
import { toHalfFloats } from './half-floats.js';
import { seededRandom } from './random.js';

/** The value of a float16 by its definition (IEEE 754-2019, 3.4). */
function numberOf(half: number): number {
  const [exponent, fraction] = [(half >> 10) & 31, half & 1023];
  const magnitude = exponent === 0 ? fraction * 2 ** -24 : (1 + fraction / 1024) * 2 ** (exponent - 15);
  return half & 0x8000 ? -magnitude : magnitude;
}

/** All finite positive float16s in order: their bits count up. */
const FINITE = Array.from({ length: 0x7c00 }, (_, half) => numberOf(half));

/** The nearest float16 by looking at all of them; the even one of two. */
function nearest(value: number): number {
  const magnitude = Math.abs(value);
  let best = 0;
  for (const [half, candidate] of FINITE.entries()) {
    const [distance, least] = [Math.abs(candidate - magnitude), Math.abs(FINITE[best]! - magnitude)];
    if (distance < least || (distance === least && half % 2 === 0)) best = half;
  }
  return value < 0 || Object.is(value, -0) ? best | 0x8000 : best;
}

test('every float16 stays itself', () => {
  const all = [...FINITE, ...FINITE.map((value) => -value)];
  expect([...toHalfFloats(Float32Array.from(all))]).toEqual(
    all.map((_, i) => (i < 0x7c00 ? i : (i - 0x7c00) | 0x8000)),
  );
});

test('other numbers become the nearest, halves the even one, and none infinite', () => {
  const random = seededRandom(7);
  const values = Float32Array.from({ length: 100 }, () => (random() * 2 - 1) * 2 ** (random() * 48 - 28));
  const between = FINITE.slice(1).map((value, i) => (value + FINITE[i]!) / 2);
  const halfway = Float32Array.from([1, 2, 1022, 1023, 1024, 5000, 5001, 0x7bfe].map((i) => between[i]!));
  const large = Float32Array.of(65504, 65519, 65520, 1e6, 3e9, -65520, 1e-30, -1e-30, 0, -0);
  for (const some of [values, halfway, large]) {
    expect([...toHalfFloats(some)]).toEqual([...some].map(nearest));
  }
});

test('reads a part of a larger array', () => {
  expect([...toHalfFloats(Float32Array.of(9, 1, 2).subarray(1))]).toEqual([0x3c00, 0x4000]);
});
