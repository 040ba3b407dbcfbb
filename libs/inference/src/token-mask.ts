import type { FullPrediction } from './sampler.js';

/** Whether a token's bit is set; see `TokenConstraint.mask`. */
export const allows = (mask: Int32Array, token: number): boolean => ((mask[token >> 5]! >>> (token & 31)) & 1) === 1;

/** Restricts predictions to the tokens that a mask allows. Holds the buffers that it gives out, until the next call. */
export class MaskedPrediction implements FullPrediction {
  logits = new Float32Array(0);
  probabilities: Float32Array | undefined;

  /**
   * @param prediction left as it is
   * @param mask allows at least one token
   */
  restrict({ logits, probabilities }: FullPrediction, mask: Int32Array): FullPrediction {
    const { length } = logits;
    if (this.logits.length !== length) {
      this.logits = new Float32Array(length);
      this.probabilities = undefined;
    }
    let largest = -1;
    for (let token = 0; token < length; token++) {
      const allowed = allows(mask, token);
      this.logits[token] = allowed ? logits[token]! : Number.NEGATIVE_INFINITY;
      if (allowed && (largest < 0 || logits[token]! > logits[largest]!)) largest = token;
    }
    if (probabilities === undefined) return { logits: this.logits, probabilities: undefined };
    this.probabilities ??= new Float32Array(length);
    const kept = this.probabilities;
    let mass = 0;
    for (let token = 0; token < length; token++) {
      kept[token] = allows(mask, token) ? probabilities[token]! : 0;
      mass += kept[token]!;
    }
    // Too unlikely to be told apart: the likeliest of them is all there is.
    if (mass < Number.EPSILON) {
      kept.fill(0);
      kept[largest] = 1;
      return this;
    }
    for (let token = 0; token < length; token++) kept[token] = kept[token]! / mass;
    return this;
  }
}
