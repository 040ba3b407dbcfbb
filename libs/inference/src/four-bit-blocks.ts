import { BLOCK_SIZE } from './quantize-blocks.js';

/** Steps that 4 bits can count. */
const MOST_STEPS = 15;
/** How far from a step a value may lie that is on it, in steps. */
const TOLERANCE = 1e-3;
/** Codes of what is left of a block on either side of zero. */
const REST_CODES = 7;

/** Weights in blocks of 4 bits: value = (code - zero point) * scale. */
export interface FourBitBlocks {
  /** `[rows, blocks, BLOCK_SIZE / 2]` two codes a byte, the lower half first */
  readonly codes: Uint8Array;
  /** `[rows, blocks]` */
  readonly scales: Float32Array;
  /** `[rows, ceil(blocks / 2)]` two a byte, the lower half first */
  readonly zeroPoints: Uint8Array;
}

/**
 * Holds `[rows, columns]` in 4 bits where the values allow it: those of each block of 32 must lie on at most 16 even steps, as
 * they do in files of types Q4_0 and Q4_1. Where a block begins, min, is no multiple of its step; what is left of it beside the
 * nearest one is the same for all inputs of the block, so it is the weight of their sum. These sums are further inputs,
 * `columns / BLOCK_SIZE` of them behind the others, and their weights are quantised in the same way, which loses about as much
 * as 8 bits lose of the values.
 * @returns undefined where any value is off the steps
 */
export function fourBitBlocks(values: Float32Array, rows: number, columns: number): FourBitBlocks | undefined {
  if (columns % BLOCK_SIZE !== 0) return undefined;
  const sums = columns / BLOCK_SIZE;
  const restBlocks = Math.ceil(sums / BLOCK_SIZE);
  const blocks = sums + restBlocks;
  const codes = new Uint8Array(rows * blocks * BLOCK_SIZE);
  const scales = new Float32Array(rows * blocks);
  const zeros = new Uint8Array(rows * blocks);
  const rest = new Float32Array(restBlocks * BLOCK_SIZE);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < sums; block++) {
      const found = steps(values.subarray(row * columns + block * BLOCK_SIZE).subarray(0, BLOCK_SIZE));
      if (found === undefined) return undefined;
      const { least, step } = found;
      const at = row * blocks + block;
      const zero = Math.min(Math.max(Math.round(-least / step), 0), MOST_STEPS);
      scales[at] = step;
      zeros[at] = zero;
      rest[block] = least + step * zero;
      for (let i = 0; i < BLOCK_SIZE; i++) {
        codes[at * BLOCK_SIZE + i] = Math.round((values[row * columns + block * BLOCK_SIZE + i]! - least) / step);
      }
    }
    for (let block = 0; block < restBlocks; block++) {
      const at = row * blocks + sums + block;
      const own = rest.subarray(block * BLOCK_SIZE, (block + 1) * BLOCK_SIZE);
      let largest = 0;
      for (let i = 0; i < BLOCK_SIZE; i++) largest = Math.max(largest, Math.abs(own[i]!));
      scales[at] = largest / REST_CODES;
      zeros[at] = REST_CODES;
      for (let i = 0; i < BLOCK_SIZE; i++) {
        codes[at * BLOCK_SIZE + i] = REST_CODES + (largest === 0 ? 0 : Math.round((own[i]! / largest) * REST_CODES));
      }
    }
  }
  return { codes: halves(codes, codes.length), scales, zeroPoints: halves(zeros, blocks) };
}

/** The least value of a block and the largest step on which all of them lie; undefined where 15 steps do not reach. */
function steps(block: Float32Array): { least: number; step: number } | undefined {
  let [least, largest] = [block[0]!, block[0]!];
  for (let i = 1; i < block.length; i++) {
    least = Math.min(least, block[i]!);
    largest = Math.max(largest, block[i]!);
  }
  // Any step does; with this one nothing is left.
  if (least === largest) return { least, step: Math.abs(least) || 1 };
  for (let count = MOST_STEPS; count > 0; count--) {
    const step = (largest - least) / count;
    if (block.every((value) => Math.abs((value - least) / step - Math.round((value - least) / step)) < TOLERANCE)) {
      return { least, step };
    }
  }
  return undefined;
}

/** Two codes a byte; every row of `length` begins with a byte of its own. */
function halves(codes: Uint8Array, length: number): Uint8Array {
  const rows = codes.length / length;
  const bytes = Math.ceil(length / 2);
  const packed = new Uint8Array(rows * bytes);
  for (let row = 0; row < rows; row++) {
    for (let i = 0; i < length; i++) packed[row * bytes + (i >> 1)]! |= codes[row * length + i]! << (4 * (i & 1));
  }
  return packed;
}
