import type { TokenBias } from './engine-port.js';
import { logSumExp } from './logprobs.js';
import type { FullPrediction } from './sampler.js';

/**
 * Adds to the logits what a request asks for and takes from them for what the answer has said already, as OpenAI's:
 * `logit + bias - count * frequency - (count > 0) * presence`. Holds the buffers that it gives out, until the next call.
 */
export class BiasedPrediction implements FullPrediction {
  logits = new Float32Array(0);
  probabilities: Float32Array | undefined;
  private readonly counts = new Map<number, number>();

  /** @param temperature at which probabilities are wanted; 0: none are */
  constructor(
    private readonly bias: TokenBias,
    private readonly temperature: number,
  ) {}

  /** The answer goes on with `token`. */
  count(token: number): void {
    this.counts.set(token, (this.counts.get(token) ?? 0) + 1);
  }

  /** @param prediction left as it is */
  apply({ logits }: FullPrediction): FullPrediction {
    if (this.logits.length !== logits.length) {
      this.logits = new Float32Array(logits.length);
      this.probabilities = this.temperature === 0 ? undefined : new Float32Array(logits.length);
    }
    const { tokens, frequency, presence } = this.bias;
    this.logits.set(logits);
    for (const [token, bias] of tokens) if (token < logits.length) this.logits[token] = this.logits[token]! + bias;
    for (const [token, count] of this.counts) {
      this.logits[token] = this.logits[token]! - count * frequency - presence;
    }
    if (this.probabilities !== undefined) this.softmax(this.probabilities);
    return this;
  }

  private softmax(probabilities: Float32Array): void {
    for (let i = 0; i < probabilities.length; i++) probabilities[i] = this.logits[i]! / this.temperature;
    const norm = logSumExp(probabilities);
    for (let i = 0; i < probabilities.length; i++) probabilities[i] = Math.exp(probabilities[i]! - norm);
  }
}
