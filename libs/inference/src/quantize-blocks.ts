/** Inputs that share one scale. */
export const BLOCK_SIZE = 32;
/** The unsigned code of zero, MatMulNBits' default zero point for 8 bits. */
const ZERO_POINT = 128;

/**
 * Quantises `[rows, columns]` to 8-bit blocks along the columns: value = (code - 128) * scale, scale = max|value| / 127.
 * Columns are padded with zeros to whole blocks.
 * @returns codes `[rows, blocks, BLOCK_SIZE]` and scales `[rows, blocks]`
 */
export function quantizeBlocks(
  values: Float32Array,
  rows: number,
  columns: number,
): { codes: Uint8Array; scales: Float32Array } {
  const blocks = Math.ceil(columns / BLOCK_SIZE);
  const codes = new Uint8Array(rows * blocks * BLOCK_SIZE).fill(ZERO_POINT);
  const scales = new Float32Array(rows * blocks);
  for (let row = 0; row < rows; row++) {
    for (let block = 0; block < blocks; block++) {
      const from = row * columns + block * BLOCK_SIZE;
      const length = Math.min(BLOCK_SIZE, columns - block * BLOCK_SIZE);
      let largest = 0;
      for (let i = 0; i < length; i++) largest = Math.max(largest, Math.abs(values[from + i] as number));
      const scale = largest / 127;
      scales[row * blocks + block] = scale;
      const inverse = scale === 0 ? 0 : 1 / scale;
      const to = (row * blocks + block) * BLOCK_SIZE;
      for (let i = 0; i < length; i++) codes[to + i] = Math.round((values[from + i] as number) * inverse) + ZERO_POINT;
    }
  }
  return { codes, scales };
}
