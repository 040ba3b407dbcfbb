/**
 * Who may look at whom among the tokens that no prefix covers: 0 where a query may look, -Infinity elsewhere.
 * @param group query heads of a KV head; every one of them has the same rows
 * @param fresh tokens of this step (n), each a query
 * @param before whole tokens between prefix and this step (t), visible to all queries
 * @returns `[group * n, t + n]`
 */
export function tailBias(group: number, fresh: number, before: number): Float32Array {
  const columns = before + fresh;
  const bias = new Float32Array(group * fresh * columns);
  for (let row = 0; row < group * fresh; row++) {
    const query = row % fresh;
    bias.fill(Number.NEGATIVE_INFINITY, row * columns + before + query + 1, (row + 1) * columns);
  }
  return bias;
}
