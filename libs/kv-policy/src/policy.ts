import { type Allocation, assertBudget, type CacheShape, type HeadCalibration } from './allocation/allocation.js';
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
  /** Whether it allocates by a model's calibration; the others ignore it. */
  readonly calibrated: boolean;
  /**
   * Whether `plan` keeps exactly what was allocated. Where not, the allocation is the most that a head can keep and the
   * statistics decide how much less it is, so that heads which were allocated everything must be planned too.
   */
  readonly exact: boolean;
  /**
   * Whether what is kept is then matched to the attention that the questions paid to all there was (Attention Matching, arXiv
   * 2602.16284): by the engine, which has the keys and values.
   */
  readonly matching: boolean;
  /** What `plan` reads where it has to shrink a head. */
  readonly needs: StatisticsNeeded;
  /**
   * Entries that each KV head keeps, `[layers * kvHeads]`, row-major, 1 <= n <= tokens. Depends on nothing but the
   * shape and the model, so that the size of a cache is known before its document is read.
   * @param calibration of the model; without it every head of a calibrated policy keeps the same
   * @throws InvalidBudgetError unless 0 < budget <= 1
   */
  allocate(shape: CacheShape, budget: number, calibration?: HeadCalibration): Int32Array;
  /**
   * A plan of min(entries, T) kept entries (`full`: T; at most that many where the policy is not `exact`).
   * Deterministic. `entries` is an integer >= 1.
   */
  plan(head: HeadStatistics, entries: number): HeadPlan;
}

/** The policy that scores, allocates and reduces by the parts given. */
export function composePolicy(
  name: string,
  score: Score,
  allocation: Allocation,
  reduction: Reduction,
  matching = false,
): Policy {
  const needs: StatisticsNeeded = {
    attention: [...new Set([...(score.needs.attention ?? []), ...(reduction.needs.attention ?? [])])],
    similarity: score.needs.similarity === true || reduction.needs.similarity === true,
  };
  return {
    name,
    calibrated: allocation.calibrated,
    exact: reduction.mayKeepLess !== true,
    matching,
    needs,
    allocate(shape, budget, calibration) {
      assertBudget(budget);
      if (calibration !== undefined) assertFits(calibration, shape);
      return allocation.allocate(shape, budget, calibration);
    },
    plan(head, entries) {
      if (!Number.isInteger(entries) || entries < 1) {
        throw new RangeError(`Expected a whole number of entries to keep, at least 1, found ${entries}.`);
      }
      if (entries >= head.entries && reduction.mayKeepLess !== true) return keepAll(head.entries);
      for (const kind of needs.attention) checkLength(`attention (${kind})`, head.attention[kind], head.entries);
      if (needs.similarity) checkLength('similarity', head.similarity, head.entries - 1);
      return reduction.reduce(head, score.of(head), Math.min(entries, head.entries));
    },
  };
}

function checkLength(name: string, values: Float32Array | undefined, length: number): void {
  const found = values?.length ?? 0;
  if (found < length) throw new RangeError(`Expected ${length} values of ${name}, found ${found}.`);
}

function assertFits({ sensitivity, shares, loss }: HeadCalibration, { layers, kvHeads }: CacheShape): void {
  const heads = layers * kvHeads;
  const fits = sensitivity.length === heads && shares.length > 0 && loss.length === heads * shares.length;
  if (fits && sensitivity.every(Number.isFinite) && loss.every(Number.isFinite)) return;
  throw new RangeError(
    `Expected a calibration of ${heads} KV heads in finite numbers, found ${sensitivity.length} sensitivities and ` +
      `${loss.length} losses at ${shares.length} shares.`,
  );
}
