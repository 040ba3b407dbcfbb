import type { SamplingOptions } from './engine-port.js';
import { seededRandom } from './random.js';

/** What an answer reads of each prediction. */
export interface PredictionNeeds {
  /** Of the probabilities; 0: none are read. */
  readonly temperature: number;
  /** Whether logits are read. They are as many as there are tokens, so where nobody reads them they are not handed out. */
  readonly logits: boolean;
}

/** What the model says of one item's next token, `[vocabulary]` each. */
export interface Prediction {
  /** Token of the largest logit, the first of equals; left out where logits were changed since. */
  readonly likeliest?: number | undefined;
  /** Undefined where no item of the run needs any. */
  readonly logits: Float32Array | undefined;
  /** At the temperature that was asked for; undefined where that is 0. */
  readonly probabilities: Float32Array | undefined;
}

/** One that was asked for with logits. */
export type FullPrediction = Prediction & { readonly logits: Float32Array };

/** Picks the next token. */
export type Sampler = (prediction: Prediction) => number;

/** Greedy at temperature 0, else nucleus sampling (arXiv 1904.09751). */
export function createSampler({
  temperature,
  topP,
  seed,
}: Pick<SamplingOptions, 'temperature' | 'topP' | 'seed'>): Sampler {
  if (temperature === 0) return ({ likeliest, logits }) => likeliest ?? argmax(logits as Float32Array);
  const random = seed === undefined ? Math.random : seededRandom(seed);
  return ({ probabilities }) => sampleNucleus(probabilities as Float32Array, topP, random());
}

/** Index of the largest value, the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/**
 * @param probabilities `[vocabulary]`, sum 1 but for rounding
 * @param draw where in the nucleus' probability to stop, in [0, 1)
 */
export function sampleNucleus(probabilities: Float32Array, topP: number, draw: number): number {
  if (topP >= 1) {
    let left = draw;
    for (let token = 0; token < probabilities.length; token++) {
      left -= probabilities[token]!;
      if (left < 0) return token;
    }
    return argmax(probabilities);
  }
  const { tokens, mass } = nucleus(probabilities, topP);
  let left = draw * mass;
  for (const token of tokens) {
    left -= probabilities[token]!;
    if (left < 0) return token;
  }
  return tokens[0]!;
}

/**
 * The fewest most likely tokens that reach `wanted`, most likely first. Sorting is what costs, so tokens are looked for
 * above a bound that is lowered until they reach it; below (1 - wanted) / vocabulary there is never one of them, since all
 * such tokens together weigh less than what may be left out.
 */
function nucleus(probabilities: Float32Array, wanted: number): { tokens: Uint32Array; mass: number } {
  const lowest = (1 - wanted) / probabilities.length;
  let likely: number[] = [];
  for (let bound = 1 / 64; ; bound /= 64) {
    const least = Math.max(bound, lowest);
    let found = 0;
    likely = [];
    for (let i = 0; i < probabilities.length; i++) {
      if (probabilities[i]! < least) continue;
      likely.push(i);
      found += probabilities[i]!;
    }
    if ((found >= wanted && likely.length > 0) || bound <= lowest) break;
  }
  const order = Uint32Array.from(likely).sort((a, b) => probabilities[b]! - probabilities[a]! || a - b);
  let mass = 0;
  let count = 0;
  while (count < order.length && (mass < wanted || count === 0)) mass += probabilities[order[count++]!]!;
  return { tokens: order.subarray(0, count), mass };
}
