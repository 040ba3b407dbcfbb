import { SeededRandom } from '@app/retrieval-tasks';
import { mean } from '../averages.js';

/** A figure and the interval that it lies in with the wanted probability. */
export interface Estimate {
  readonly value: number;
  readonly low: number;
  readonly high: number;
}

export interface BootstrapOptions {
  /** Default 1. */
  readonly seed?: number;
  /** Default 2,000. */
  readonly resamples?: number;
  /** Probability that the interval stands for; default 0.95. */
  readonly level?: number;
}

/**
 * A figure of paired samples with its percentile bootstrap interval (Efron 1979): pairs are drawn with replacement, as
 * many as there are, and `figure` is taken of each draw. Draws without a finite figure are left out; where none has one
 * the bounds are NaN.
 * @param a, b one value per sample each, in the same order
 */
export function pairedBootstrap(
  a: readonly number[],
  b: readonly number[],
  figure: (a: readonly number[], b: readonly number[]) => number,
  { seed = 1, resamples = 2000, level = 0.95 }: BootstrapOptions = {},
): Estimate {
  if (a.length !== b.length || a.length === 0) {
    throw new RangeError(`two lists of the same length, 1 at least, are needed, found ${a.length} and ${b.length}`);
  }
  const random = new SeededRandom(seed);
  const x = new Array<number>(a.length);
  const y = new Array<number>(a.length);
  const figures: number[] = [];
  for (let i = 0; i < resamples; i++) {
    for (let j = 0; j < a.length; j++) {
      const drawn = random.below(a.length);
      x[j] = a[drawn]!;
      y[j] = b[drawn]!;
    }
    const found = figure(x, y);
    if (Number.isFinite(found)) figures.push(found);
  }
  figures.sort((one, other) => one - other);
  const tail = (1 - level) / 2;
  return { value: figure(a, b), low: quantile(figures, tail), high: quantile(figures, 1 - tail) };
}

/** mean(a) - mean(b). */
export const meanDifference = (a: readonly number[], b: readonly number[]): number => mean(a) - mean(b);

/** mean(a) / mean(b); not finite where mean(b) is 0. */
export const meanRatio = (a: readonly number[], b: readonly number[]): number => mean(a) / mean(b);

/** Quantile of ascending values, linear between neighbours; NaN of none. */
export function quantile(ascending: readonly number[], share: number): number {
  if (ascending.length === 0) return Number.NaN;
  const at = share * (ascending.length - 1);
  const below = Math.floor(at);
  const above = Math.min(below + 1, ascending.length - 1);
  return ascending[below]! + (at - below) * (ascending[above]! - ascending[below]!);
}
