/** Every IEEE half as float32, by bit pattern: 256 KB buy a branch-free lookup in the dequantisers' inner loops. */
const HALVES = /* @__PURE__ */ buildHalves();

function buildHalves(): Float32Array {
  const table = new Float32Array(65536);
  for (let bits = 0; bits < 65536; bits++) {
    const sign = bits & 0x8000 ? -1 : 1;
    const exponent = (bits >> 10) & 0x1f;
    const fraction = bits & 0x3ff;
    if (exponent === 0) table[bits] = sign * fraction * 2 ** -24;
    else if (exponent === 31) table[bits] = fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
    else table[bits] = sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
  }
  return table;
}

/** Little-endian half at `offset` of `bytes`, as a number. */
export function readHalf(bytes: Uint8Array, offset: number): number {
  return HALVES[bytes[offset]! | (bytes[offset + 1]! << 8)]!;
}
