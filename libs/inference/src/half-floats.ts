/** Largest magnitude that a float16 has, as its bits: what is larger becomes it. */
const LARGEST = 0x7bff;
/** Bits of the float32 from which on rounding would pass it. */
const PAST_LARGEST = 0x477ff000;
/** Bits of 2^-14, the smallest float32 that is a normal number in float16; and what its exponent is more than there. */
const SMALLEST_NORMAL = 0x38800000;
const EXPONENT_OFFSET = 0x38000000;
/** A float16 has so many bits of fraction less. */
const FRACTION_BITS = 13;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** Numbers as IEEE 754 float16, each the nearest one, to even where two are; none becomes infinite. */
export function toHalfFloats(values: Float32Array): Uint16Array {
  const source = new Uint32Array(values.buffer, values.byteOffset, values.length);
  const halves = new Uint16Array(values.length);
  for (let i = 0; i < halves.length; i++) {
    const value = source[i]!;
    const sign = (value >>> 16) & 0x8000;
    const magnitude = value & 0x7fffffff;
    if (magnitude >= PAST_LARGEST) halves[i] = sign | LARGEST;
    else if (magnitude >= SMALLEST_NORMAL) {
      const toEven = (1 << (FRACTION_BITS - 1)) - 1 + ((magnitude >>> FRACTION_BITS) & 1);
      halves[i] = sign | ((magnitude - EXPONENT_OFFSET + toEven) >>> FRACTION_BITS);
    } else {
      // Beside 0.5 a float32 has the steps of float16's subnormal numbers, so the addition rounds.
      float[0] = Math.abs(values[i]!) + 0.5;
      halves[i] = sign | (bits[0]! - 0x3f000000);
    }
  }
  return halves;
}
