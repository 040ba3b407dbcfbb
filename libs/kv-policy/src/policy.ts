import { type Allocation, assertBudget, type CacheShape } from './allocation/allocation.js';
import type { HeadPlan, HeadStatistics, StatisticsNeeded } from './plan.js';
import { keepAll, type Reduction } from './reduction/reduction.js';
import type { Score } from './score/score.js';

/**
 * Decides what becomes of a cache, without seeing it.
 *
 * A KV head whose allocation is all its entries is kept as it is: it needs neither statistics nor a plan, so `full`,
 * and every policy at budget 1, costs nothing.
 */
export interface Policy {
  readonly name: string;
  /** What `plan` reads where it has to shrink a head. */
  readonly needs: StatisticsNeeded;
  /**
   * Entries that each KV head keeps, `[layers * kvHeads]`, row-major, 1 <= n <= tokens. Depends on nothing but the
   * shape, so that the size of a cache is known before its document is read.
   * @throws InvalidBudgetError unless 0 < budget <= 1
   */
  allocate(shape: CacheShape, budget: number): Int32Array;
  /** A plan of exactly min(entries, T) kept entries (`full`: T). Deterministic. `entries` is an integer >= 1. */
  plan(head: HeadStatistics, entries: number): HeadPlan;
}

/** The policy that scores, allocates and reduces by the parts given. */
export function composePolicy(name: string, score: Score, allocation: Allocation, reduction: Reduction): Policy {
  const needs: StatisticsNeeded = {
    attention: score.needs.attention === true || reduction.needs.attention === true,
    similarity: score.needs.similarity === true || reduction.needs.similarity === true,
  };
  return {
    name,
    needs,
    allocate(shape, budget) {
      assertBudget(budget);
      return allocation(shape, budget);
    },
    plan(head, entries) {
      if (!Number.isInteger(entries) || entries < 1) {
        throw new RangeError(`Expected a whole number of entries to keep, at least 1, found ${entries}.`);
      }
      if (entries >= head.entries) return keepAll(head.entries);
      checkLength('attention', needs.attention, head.attention, head.entries);
      checkLength('similarity', needs.similarity, head.similarity, head.entries - 1);
      return reduction.reduce(head, score.of(head), entries);
    },
  };
}

function checkLength(name: string, needed: boolean, values: Float32Array, length: number): void {
  if (needed && values.length < length) {
    throw new RangeError(`Expected ${length} values of ${name}, found ${values.length}.`);
  }
}
