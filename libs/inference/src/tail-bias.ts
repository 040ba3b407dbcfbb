/**
 * Who may look at whom among the tokens that no prefix covers: 0 where a query may look, -Infinity elsewhere.
 * @param group query heads of a KV head; every one of them has the same rows
 * @param fresh tokens of this step (n), each a query
 * @param before whole tokens between prefix and this step (t), visible to all queries
 * @returns `[group * n, t + n]`
 */
export function tailBias(group: number, fresh: number, before: number): Float32Array {
  return sequencesBias(group, [fresh], before);
}

/**
 * The same for several sequences side by side, each of which sees the prefix, the `before` tokens and itself, but no other.
 * @param lengths tokens of each sequence; n is their sum
 */
export function sequencesBias(group: number, lengths: readonly number[], before = 0): Float32Array {
  const fresh = lengths.reduce((sum, length) => sum + length, 0);
  const columns = before + fresh;
  const bias = new Float32Array(group * fresh * columns).fill(Number.NEGATIVE_INFINITY);
  for (let head = 0; head < group; head++) {
    let from = 0;
    for (const length of lengths) {
      for (let query = from; query < from + length; query++) {
        const row = (head * fresh + query) * columns;
        bias.fill(0, row, row + before);
        bias.fill(0, row + before + from, row + before + query + 1);
      }
      from += length;
    }
  }
  return bias;
}
