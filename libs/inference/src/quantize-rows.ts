/**
 * Quantises `[rows, columns]` to 8-bit integers with one scale a row: value = code * scale, scale = max|value| / 127.
 * @returns codes `[columns, rows]`, the other way round than the values, and scales `[rows]`
 */
export function quantizeRows(
  values: Float32Array,
  rows: number,
  columns: number,
): { codes: Int8Array; scales: Float32Array } {
  const codes = new Int8Array(rows * columns);
  const scales = new Float32Array(rows);
  for (let row = 0; row < rows; row++) {
    const from = row * columns;
    let largest = 0;
    for (let column = 0; column < columns; column++) {
      largest = Math.max(largest, Math.abs(values[from + column] as number));
    }
    const scale = largest / 127;
    scales[row] = scale;
    const inverse = scale === 0 ? 0 : 1 / scale;
    for (let column = 0; column < columns; column++) {
      codes[column * rows + row] = Math.round((values[from + column] as number) * inverse);
    }
  }
  return { codes, scales };
}
