import { markLargest } from '../mark-largest.js';
import type { HeadStatistics } from '../plan.js';
import type { EndsOf } from './ends.js';
import { LOG_MASS, type Reduction } from './reduction.js';
import { planRuns } from './runs.js';

/** Least importance of a token, in units of the mean score, and least distance of two keys: neither makes a pair free. */
const LEAST = 1e-4;

/**
 * Joins the T - n adjacent pairs whose merging costs least. Cost is a_i a_j / (a_i + a_j) x (1 - cos(k_i, k_j)), a being
 * the score in units of a token's mean: what is lost when two keys of these weights are replaced by their weighted mean
 * (Ward, 1963), so an entry without attention may join any neighbour and two attended ones only if their keys are alike.
 * An entry that was merged before weighs as much as its tokens. The ends are joined to nothing, as far as n entries leave
 * room for them. Around the pivot, with log mass.
 */
export function mergeByCost(ends: EndsOf): Reduction {
  return {
    needs: { similarity: true },
    reduce(head, score, entries) {
      // One entry at least must be left for all that lies between the ends.
      const { sinks, recent } = ends(entries - 1);
      const last = head.entries - 1 - recent;
      const joined = new Uint8Array(head.entries - 1);
      const cheapness = negativeCosts(head, score, sinks, last);
      joined.set(markLargest(cheapness, last - sinks, head.entries - entries), sinks);
      return planRuns(head, score, entries, joined, LOG_MASS);
    },
  };
}

/** `[to - from]`: minus the cost of joining entries i and i + 1, from <= i < to. */
function negativeCosts(head: HeadStatistics, score: Float32Array, from: number, to: number): Float32Array {
  const { mass, similarity } = head;
  const scale = perMean(score, head);
  const costs = new Float32Array(to - from);
  let here = importance(score[from]!, scale, mass[from]!);
  for (let i = from; i < to; i++) {
    const next = importance(score[i + 1]!, scale, mass[i + 1]!);
    const distance = Math.max(1 - similarity[i]!, LEAST);
    costs[i - from] = -((here * next) / (here + next)) * distance;
    here = next;
  }
  return costs;
}

function importance(score: number, scale: number, tokens: number): number {
  return score * scale + LEAST * tokens;
}

/** 1 / mean score of a token; 0 where there is none, which leaves the choice to the keys. */
function perMean(score: Float32Array, { entries, mass }: HeadStatistics): number {
  let sum = 0;
  let tokens = 0;
  for (let i = 0; i < entries; i++) {
    sum += score[i]!;
    tokens += mass[i]!;
  }
  return sum > 0 ? tokens / sum : 0;
}
