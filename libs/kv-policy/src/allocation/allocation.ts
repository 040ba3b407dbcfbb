import { InvalidBudgetError } from '../policy-errors.js';

/** The cache a budget is spread over. */
export interface CacheShape {
  /** Entries of every KV head before compression (T). */
  readonly tokens: number;
  readonly layers: number;
  readonly kvHeads: number;
}

/** What `longhaul calibrate` measures of a model's KV heads, the KL divergence of the answer against the full cache each time. */
export interface HeadCalibration {
  /** `[layers * kvHeads]` with that head alone cut to sinks and recent entries, mean 1. */
  readonly sensitivity: Float32Array;
  /** Kept shares at which `loss` was measured, ascending, above 0 and below 1. */
  readonly shares: Float32Array;
  /** `[layers * kvHeads, shares]` with that head alone merged to that share, mean 1 at the smallest share. */
  readonly loss: Float32Array;
}

/** How a budget is spread over the KV heads. */
export interface Allocation {
  /** Whether it asks for a calibration. */
  readonly calibrated: boolean;
  /**
   * Entries that each KV head keeps: `[layers * kvHeads]`, row-major, each at least 1 and at most `tokens`. The budget
   * has been checked, and so has the calibration's size.
   */
  allocate(shape: CacheShape, budget: number, calibration?: HeadCalibration): Int32Array;
}

/** Throws `InvalidBudgetError` unless the budget is a number above 0 and at most 1. */
export function assertBudget(budget: unknown): asserts budget is number {
  if (typeof budget !== 'number' || !(budget > 0 && budget <= 1)) throw new InvalidBudgetError(budget);
}

/** Entries of all KV heads together: floor(budget x T x heads), and at least one a head. */
export function totalEntries({ tokens, layers, kvHeads }: CacheShape, budget: number): number {
  const heads = layers * kvHeads;
  return Math.max(heads, Math.floor(budget * tokens * heads));
}

/** Heads by sensitivity, largest first; of equal ones the earlier first. */
export function bySensitivity(sensitivity: Float32Array): number[] {
  return [...sensitivity.keys()].sort((a, b) => sensitivity[b]! - sensitivity[a]! || a - b);
}
