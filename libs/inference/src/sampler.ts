import type { SamplingOptions } from './engine-port.js';
import { seededRandom } from './random.js';

/** Picks the next token from logits `[vocabulary]`. */
export type Sampler = (logits: Float32Array) => number;

/** Greedy at temperature 0, else nucleus sampling (arXiv 1904.09751) at the given temperature. */
export function createSampler({
  temperature,
  topP,
  seed,
}: Pick<SamplingOptions, 'temperature' | 'topP' | 'seed'>): Sampler {
  if (temperature === 0) return argmax;
  const random = seed === undefined ? Math.random : seededRandom(seed);
  return (logits) => sampleNucleus(logits, temperature, topP, random());
}

/** Index of the largest value, the first of equals. */
export function argmax(values: Float32Array): number {
  let best = 0;
  for (let i = 1; i < values.length; i++) if (values[i]! > values[best]!) best = i;
  return best;
}

/** @param draw where in the nucleus' probability to stop, in [0, 1) */
export function sampleNucleus(logits: Float32Array, temperature: number, topP: number, draw: number): number {
  const largest = logits[argmax(logits)]!;
  const weights = new Float64Array(logits.length);
  let total = 0;
  for (let i = 0; i < logits.length; i++) {
    const weight = Math.exp((logits[i]! - largest) / temperature);
    weights[i] = weight;
    total += weight;
  }
  const order = topP < 1 ? nucleus(weights, total * topP, total) : undefined;
  const count = order?.length ?? weights.length;
  const at = (i: number) => (order === undefined ? i : order[i]!);
  let mass = 0;
  for (let i = 0; i < count; i++) mass += weights[at(i)]!;
  let left = draw * mass;
  for (let i = 0; i < count; i++) {
    left -= weights[at(i)]!;
    if (left < 0) return at(i);
  }
  return at(count - 1);
}

/**
 * The fewest most likely tokens whose weights reach `wanted`, most likely first.
 * Only tokens above (total - wanted) / vocabulary are sorted: all others together weigh less than what may be left out.
 */
function nucleus(weights: Float64Array, wanted: number, total: number): Uint32Array {
  const least = (total - wanted) / weights.length;
  const likely: number[] = [];
  for (let i = 0; i < weights.length; i++) if (weights[i]! >= least) likely.push(i);
  const order = Uint32Array.from(likely).sort((a, b) => weights[b]! - weights[a]! || a - b);
  let mass = 0;
  let count = 0;
  while (count < order.length && mass < wanted) mass += weights[order[count++]!]!;
  return order.subarray(0, Math.max(count, 1));
}
