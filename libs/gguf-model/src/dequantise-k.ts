import { type Dequantiser, IQ4_LEVELS } from './dequantise-plain.js';
import { readHalf } from './half-float.js';

/** Values in one super-block of the K types. */
const SUPER = 256;

/** Q2_K, 84 bytes: 16 bytes of (scale, minimum) nibbles, 64 bytes of 2-bit values, half scale, half minimum. */
export const dequantiseQ2_K: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 84, to += SUPER) {
    const scale = readHalf(blocks, from + 80);
    const minimum = readHalf(blocks, from + 82);
    for (let group = 0; group < 16; group++) {
      // groups of 16 values; 8 groups share 32 bytes, each pair of groups at its own 2-bit shift
      const packed = blocks[from + group]!;
      const step = scale * (packed & 15);
      const offset = minimum * (packed >> 4);
      const half = group >> 3;
      const shift = 2 * ((group & 7) >> 1);
      const quants = from + 16 + 32 * half + 16 * (group & 1);
      const target = to + 16 * group;
      for (let j = 0; j < 16; j++) out[target + j] = step * ((blocks[quants + j]! >> shift) & 3) - offset;
    }
  }
};

/** Q3_K, 110 bytes: 32 bytes of third bits, 64 bytes of 2-bit values, 12 bytes of 6-bit scales, half scale. */
export const dequantiseQ3_K: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 110, to += SUPER) {
    const scale = readHalf(blocks, from + 108);
    const scales = from + 96;
    for (let group = 0; group < 16; group++) {
      // 6-bit scales: low nibbles of bytes 0-7 then high ones, upper two bits packed in bytes 8-11
      const low = (blocks[scales + (group & 7)]! >> (group < 8 ? 0 : 4)) & 15;
      const high = (blocks[scales + 8 + (group & 3)]! >> (2 * (group >> 2))) & 3;
      const step = scale * ((low | (high << 4)) - 32);
      const half = group >> 3;
      const plane = (group & 7) >> 1;
      const quants = from + 32 + 32 * half + 16 * (group & 1);
      const mask = from + 16 * (group & 1);
      const maskBit = 4 * half + plane;
      const target = to + 16 * group;
      for (let j = 0; j < 16; j++) {
        const third = (blocks[mask + j]! >> maskBit) & 1;
        out[target + j] = step * (((blocks[quants + j]! >> (2 * plane)) & 3) - (third ? 0 : 4));
      }
    }
  }
};

/** 6-bit scale of sub-block `index` (0-7) in the 12 packed bytes of Q4_K and Q5_K. */
function packedScale(blocks: Uint8Array, at: number, index: number): number {
  if (index < 4) return blocks[at + index]! & 63;
  return (blocks[at + index + 4]! & 15) | ((blocks[at + index - 4]! >> 6) << 4);
}

/** 6-bit minimum of sub-block `index` (0-7) in the same 12 bytes. */
function packedMinimum(blocks: Uint8Array, at: number, index: number): number {
  if (index < 4) return blocks[at + index + 4]! & 63;
  return (blocks[at + index + 4]! >> 4) | ((blocks[at + index]! >> 6) << 4);
}

/** Q4_K, 144 bytes: half scale, half minimum, 12 bytes of 6-bit scales and minima, 128 bytes of nibbles. */
export const dequantiseQ4_K: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 144, to += SUPER) {
    const scale = readHalf(blocks, from);
    const minimum = readHalf(blocks, from + 2);
    for (let sub = 0; sub < 8; sub++) {
      const step = scale * packedScale(blocks, from + 4, sub);
      const offset = minimum * packedMinimum(blocks, from + 4, sub);
      const quants = from + 16 + 32 * (sub >> 1);
      const shift = 4 * (sub & 1);
      const target = to + 32 * sub;
      for (let j = 0; j < 32; j++) out[target + j] = step * ((blocks[quants + j]! >> shift) & 15) - offset;
    }
  }
};

/** Q5_K, 176 bytes: as Q4_K with 32 bytes of fifth bits before the nibbles, bit `sub` for sub-block `sub`. */
export const dequantiseQ5_K: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 176, to += SUPER) {
    const scale = readHalf(blocks, from);
    const minimum = readHalf(blocks, from + 2);
    for (let sub = 0; sub < 8; sub++) {
      const step = scale * packedScale(blocks, from + 4, sub);
      const offset = minimum * packedMinimum(blocks, from + 4, sub);
      const quants = from + 48 + 32 * (sub >> 1);
      const shift = 4 * (sub & 1);
      const target = to + 32 * sub;
      for (let j = 0; j < 32; j++) {
        const fifth = (blocks[from + 16 + j]! >> sub) & 1;
        out[target + j] = step * (((blocks[quants + j]! >> shift) & 15) | (fifth << 4)) - offset;
      }
    }
  }
};

/** Q6_K, 210 bytes: 128 bytes of low nibbles, 64 bytes of upper bit pairs, 16 signed scales, half scale. */
export const dequantiseQ6_K: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 210, to += SUPER) {
    const scale = readHalf(blocks, from + 208);
    for (let part = 0; part < 8; part++) {
      // parts of 32 values; four parts share 64 bytes of nibbles and 32 bytes of bit pairs
      const half = part >> 2;
      const plane = part & 3;
      const lows = from + 64 * half + 32 * (plane & 1);
      const highs = from + 128 + 32 * half;
      const nibbleShift = 4 * (plane >> 1);
      for (let j = 0; j < 32; j++) {
        const step = scale * ((blocks[from + 192 + 2 * part + (j >> 4)]! << 24) >> 24);
        const low = (blocks[lows + j]! >> nibbleShift) & 15;
        const high = (blocks[highs + j]! >> (2 * plane)) & 3;
        out[to + 32 * part + j] = step * ((low | (high << 4)) - 32);
      }
    }
  }
};

/** IQ4_XS, 136 bytes: half scale, 8 upper bit pairs, 8 low nibbles of the 6-bit scales, 128 bytes of level indices. */
export const dequantiseIQ4_XS: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 136, to += SUPER) {
    const scale = readHalf(blocks, from);
    const highs = blocks[from + 2]! | (blocks[from + 3]! << 8);
    for (let sub = 0; sub < 8; sub++) {
      const low = (blocks[from + 4 + (sub >> 1)]! >> (4 * (sub & 1))) & 15;
      const step = scale * ((low | (((highs >> (2 * sub)) & 3) << 4)) - 32);
      const quants = from + 8 + 16 * sub;
      const target = to + 32 * sub;
      for (let j = 0; j < 16; j++) {
        const pair = blocks[quants + j]!;
        out[target + j] = step * IQ4_LEVELS[pair & 15]!;
        out[target + j + 16] = step * IQ4_LEVELS[pair >> 4]!;
      }
    }
  }
};
