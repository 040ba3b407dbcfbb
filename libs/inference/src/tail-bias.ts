/**
 * Who may look at whom among the tokens that no prefix covers: 0 where a query may look, -Infinity elsewhere. For several
 * sequences side by side, each of which sees itself up to the query, and no other; and the tail, where there is one.
 * @param group query heads of a KV head; every one of them has the same rows
 * @param lengths tokens of each sequence; n is their sum
 * @param tail columns before those of the sequences, `capacity` of them, of which the first `length` are there
 * @returns `[group * n, capacity + n]`
 */
export function sequencesBias(
  group: number,
  lengths: readonly number[],
  tail: { readonly length: number; readonly capacity: number } = { length: 0, capacity: 0 },
): Float32Array {
  const fresh = lengths.reduce((sum, length) => sum + length, 0);
  const columns = tail.capacity + fresh;
  const bias = new Float32Array(group * fresh * columns).fill(Number.NEGATIVE_INFINITY);
  for (let head = 0; head < group; head++) {
    let from = 0;
    for (const length of lengths) {
      for (let query = from; query < from + length; query++) {
        const row = (head * fresh + query) * columns;
        bias.fill(0, row, row + tail.length);
        bias.fill(0, row + tail.capacity + from, row + tail.capacity + query + 1);
      }
      from += length;
    }
  }
  return bias;
}

/**
 * The same where every item has one new token, which sees its own tail and itself.
 * @param lengths tokens of each item's tail, at most `capacity`
 * @returns `[items, capacity + 1]`
 */
export function stepBias(lengths: readonly number[], capacity: number): Float32Array {
  const columns = capacity + 1;
  const bias = new Float32Array(lengths.length * columns);
  for (const [item, length] of lengths.entries()) {
    bias.fill(Number.NEGATIVE_INFINITY, item * columns + length, item * columns + capacity);
  }
  return bias;
}
