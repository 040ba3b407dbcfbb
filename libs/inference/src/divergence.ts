/** Log-probabilities of one row of logits, written to `out`. */
function logSoftmax(logits: Float32Array, from: number, out: Float64Array): void {
  let largest = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < out.length; i++) largest = Math.max(largest, logits[from + i]!);
  let sum = 0;
  for (let i = 0; i < out.length; i++) sum += Math.exp(logits[from + i]! - largest);
  const norm = largest + Math.log(sum);
  for (let i = 0; i < out.length; i++) out[i] = logits[from + i]! - norm;
}

/**
 * Kullback-Leibler divergence KL(exact || other) of the next token at every position, nats, and the share of positions
 * whose most likely token is the same.
 * @param exact `[positions, vocabulary]` logits, as is `other`
 */
export function divergence(
  exact: Float32Array,
  other: Float32Array,
  positions: number,
): { kl: number[]; agreement: number } {
  const vocabulary = exact.length / positions;
  const p = new Float64Array(vocabulary);
  const q = new Float64Array(vocabulary);
  const kl: number[] = [];
  let agreeing = 0;
  for (let position = 0; position < positions; position++) {
    logSoftmax(exact, position * vocabulary, p);
    logSoftmax(other, position * vocabulary, q);
    let sum = 0;
    let best = 0;
    let otherBest = 0;
    for (let i = 0; i < vocabulary; i++) {
      sum += Math.exp(p[i]!) * (p[i]! - q[i]!);
      if (p[i]! > p[best]!) best = i;
      if (q[i]! > q[otherBest]!) otherBest = i;
    }
    kl.push(sum);
    if (best === otherBest) agreeing++;
  }
  return { kl, agreement: agreeing / positions };
}
