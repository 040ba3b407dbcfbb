import { InvalidBudgetError } from '../policy-errors.js';

/** The cache a budget is spread over. */
export interface CacheShape {
  /** Entries of every KV head before compression (T). */
  readonly tokens: number;
  readonly layers: number;
  readonly kvHeads: number;
}

/**
 * How many entries each KV head keeps: `[layers * kvHeads]`, row-major, each at least 1 and at most `tokens`.
 * The budget has been checked.
 */
export type Allocation = (shape: CacheShape, budget: number, sensitivity?: Float32Array) => Int32Array;

/** Throws `InvalidBudgetError` unless the budget is a number above 0 and at most 1. */
export function assertBudget(budget: unknown): asserts budget is number {
  if (typeof budget !== 'number' || !(budget > 0 && budget <= 1)) throw new InvalidBudgetError(budget);
}
