/** What the rotation angles of a model depend on. */
export interface RopeParameters {
  readonly contextLength: number;
  readonly ropeDimensions: number;
  readonly ropeBase: number;
  /** Linear position scaling: positions are divided by it. */
  readonly ropeScale: number;
  /** `[ropeDimensions / 2]` divisors of the frequencies (`rope_freqs.weight` of Llama 3 and later). */
  readonly ropeFrequencyFactors: Float32Array | undefined;
}

/** Cosines and sines `[contextLength, ropeDimensions / 2]` of RoPE (arXiv 2104.09864, eq. 15). */
export function ropeTable(rope: RopeParameters): { cosine: Float32Array; sine: Float32Array } {
  const half = rope.ropeDimensions / 2;
  const cosine = new Float32Array(rope.contextLength * half);
  const sine = new Float32Array(rope.contextLength * half);
  for (let pair = 0; pair < half; pair++) {
    const factor = rope.ropeFrequencyFactors?.[pair] ?? 1;
    const frequency = rope.ropeBase ** ((-2 * pair) / rope.ropeDimensions) / factor / rope.ropeScale;
    for (let position = 0; position < rope.contextLength; position++) {
      cosine[position * half + pair] = Math.cos(position * frequency);
      sine[position * half + pair] = Math.sin(position * frequency);
    }
  }
  return { cosine, sine };
}
