import { readHalf } from './half-float.js';

/**
 * Unpacks whole blocks of one ggml type: `blocks` holds `out.length / blockSize` of them back to back.
 * Block layouts are facts of the ggml format (ggml-common.h); little-endian throughout.
 */
export type Dequantiser = (blocks: Uint8Array, out: Float32Array) => void;

/** F32: 4 bytes a value. */
export const dequantiseF32: Dequantiser = (blocks, out) => {
  new Uint8Array(out.buffer, out.byteOffset, out.byteLength).set(blocks);
};

/** F16: one half a value. */
export const dequantiseF16: Dequantiser = (blocks, out) => {
  for (let i = 0; i < out.length; i++) out[i] = readHalf(blocks, 2 * i);
};

/** BF16: the upper 16 bits of a float32. */
export const dequantiseBF16: Dequantiser = (blocks, out) => {
  const bits = new Uint32Array(out.buffer, out.byteOffset, out.length);
  for (let i = 0; i < out.length; i++) bits[i] = ((blocks[2 * i]! | (blocks[2 * i + 1]! << 8)) << 16) >>> 0;
};

/** Q4_0, 32 values in 18 bytes: half scale, 16 bytes of nibbles; low nibbles are values 0-15, high ones 16-31. */
export const dequantiseQ4_0: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 18, to += 32) {
    const scale = readHalf(blocks, from);
    for (let j = 0; j < 16; j++) {
      const pair = blocks[from + 2 + j]!;
      out[to + j] = ((pair & 15) - 8) * scale;
      out[to + j + 16] = ((pair >> 4) - 8) * scale;
    }
  }
};

/** Q4_1, 32 values in 20 bytes: half scale, half minimum, 16 bytes of nibbles. */
export const dequantiseQ4_1: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 20, to += 32) {
    const scale = readHalf(blocks, from);
    const minimum = readHalf(blocks, from + 2);
    for (let j = 0; j < 16; j++) {
      const pair = blocks[from + 4 + j]!;
      out[to + j] = (pair & 15) * scale + minimum;
      out[to + j + 16] = (pair >> 4) * scale + minimum;
    }
  }
};

/** Q5_0, 32 values in 22 bytes: half scale, 32 fifth bits, 16 bytes of nibbles. */
export const dequantiseQ5_0: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 22, to += 32) {
    const scale = readHalf(blocks, from);
    const fifth = readUint32(blocks, from + 2);
    for (let j = 0; j < 16; j++) {
      const pair = blocks[from + 6 + j]!;
      out[to + j] = (((pair & 15) | (((fifth >>> j) & 1) << 4)) - 16) * scale;
      out[to + j + 16] = (((pair >> 4) | (((fifth >>> (j + 16)) & 1) << 4)) - 16) * scale;
    }
  }
};

/** Q5_1, 32 values in 24 bytes: half scale, half minimum, 32 fifth bits, 16 bytes of nibbles. */
export const dequantiseQ5_1: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 24, to += 32) {
    const scale = readHalf(blocks, from);
    const minimum = readHalf(blocks, from + 2);
    const fifth = readUint32(blocks, from + 4);
    for (let j = 0; j < 16; j++) {
      const pair = blocks[from + 8 + j]!;
      out[to + j] = ((pair & 15) | (((fifth >>> j) & 1) << 4)) * scale + minimum;
      out[to + j + 16] = ((pair >> 4) | (((fifth >>> (j + 16)) & 1) << 4)) * scale + minimum;
    }
  }
};

/** Q8_0, 32 values in 34 bytes: half scale, 32 signed bytes. */
export const dequantiseQ8_0: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 34, to += 32) {
    const scale = readHalf(blocks, from);
    for (let j = 0; j < 32; j++) out[to + j] = ((blocks[from + 2 + j]! << 24) >> 24) * scale;
  }
};

/** The 16 levels of the IQ4 types (`kvalues_iq4nl` of ggml). */
export const IQ4_LEVELS = new Int8Array([-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113]);

/** IQ4_NL, 32 values in 18 bytes: as Q4_0, with each nibble an index into the levels. */
export const dequantiseIQ4_NL: Dequantiser = (blocks, out) => {
  for (let from = 0, to = 0; to < out.length; from += 18, to += 32) {
    const scale = readHalf(blocks, from);
    for (let j = 0; j < 16; j++) {
      const pair = blocks[from + 2 + j]!;
      out[to + j] = IQ4_LEVELS[pair & 15]! * scale;
      out[to + j + 16] = IQ4_LEVELS[pair >> 4]! * scale;
    }
  }
};

function readUint32(bytes: Uint8Array, offset: number): number {
  return (bytes[offset]! | (bytes[offset + 1]! << 8) | (bytes[offset + 2]! << 16) | (bytes[offset + 3]! << 24)) >>> 0;
}
