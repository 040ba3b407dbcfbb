import { leastLoss } from './allocation/least-loss.js';
import { pyramid } from './allocation/pyramid.js';
import { twoClasses } from './allocation/two-classes.js';
import { uniform } from './allocation/uniform.js';
import { full } from './full.js';
import { WINDOW_TOKENS } from './plan.js';
import { composePolicy, type Policy } from './policy.js';
import {
  InvalidMassModeError,
  InvalidPolicyNumberError,
  InvalidScoringError,
  UnknownPolicyError,
} from './policy-errors.js';
import { type Ends, fixedEnds } from './reduction/ends.js';
import { evict } from './reduction/evict.js';
import { MASS_MODES, type MassMode, mergeAdjacent } from './reduction/merge-adjacent.js';
import { mergeByCost } from './reduction/merge-by-cost.js';
import { mergeEvicted } from './reduction/merge-evicted.js';
import { spreadEvicted } from './reduction/spread-evicted.js';
import { byToken } from './score/by-token.js';
import { inEqualShares } from './score/in-equal-shares.js';
import { largestAround } from './score/largest-around.js';
import { pooled } from './score/pooled.js';
import { receivedAttention } from './score/received-attention.js';
import { recency } from './score/recency.js';

/**
 * Whose attention says what an entry is worth, in policies that score by the prefix's last queries.
 * - `window`: those queries, as published
 * - `questions`: the items' own questions
 * - `stand-ins`: what is asked in the place of questions that are not known yet (its attention is given as kind
 *   `questions`); published policies have no such thing and take the window
 */
export const SCORINGS = ['window', 'questions', 'stand-ins'] as const;
export type Scoring = (typeof SCORINGS)[number];

/** Settings of a policy beside its budget; a policy ignores those it has no use for. */
export interface PolicyOptions {
  /** `kvmerger`: how a merged entry says how many tokens it stands for. Default `log`. */
  readonly mass?: MassMode | undefined;
  /** Whose attention scores; policies that score by accumulated attention ignore it. Default `window`. */
  readonly scoring?: Scoring | undefined;
  /** `calibrated-merge`: whether what is kept is matched to the attention of the questions. Default true where they score. */
  readonly matching?: boolean | undefined;
  /**
   * `kvmerger`: joins every unprotected pair whose cosine similarity exceeds this (published: 0.75), so that less than
   * the budget may come out; at budget 1 the threshold alone decides. Default: none, exactly the budget comes out.
   */
  readonly threshold?: number | undefined;
}

/** Entries that the attention of a window is averaged over (the default of SnapKV's code). */
const POOLING = 5;
/** Entries around an attended one that are kept with it: what a question looks at is the name of a thing, what it needs stands beside it. */
const PHRASE = 17;
/** Attention sinks (StreamingLLM, arXiv 2309.17453). */
const SINKS = 4;
/** Most recent entries that calibrated policies leave alone. */
const RECENT = 16;

const accumulated = receivedAttention('all');
const pooledWindow = (scoring?: Scoring) =>
  pooled(receivedAttention(scoring === 'questions' ? scoring : 'window'), POOLING);
const neighbourhood = (scoring: Scoring = 'window') => {
  const received = receivedAttention(scoring === 'window' ? scoring : 'questions');
  return byToken(inEqualShares(pooled(received, POOLING), largestAround(received, PHRASE)));
};
/** Share of the cache that insensitive heads keep where they hold no more than sinks and recent entries. */
const STREAMING_FLOOR = 0.05;

const recentHalf = (entries: number): Ends => ({ sinks: 0, recent: Math.floor(entries / 2) });
const recentQuarter = (entries: number): Ends => ({
  sinks: Math.min(SINKS, Math.floor(entries / 2)),
  recent: Math.floor(entries / 4),
});

/**
 * Every policy is score x allocation x reduction. All of them here compress per KV head (scores are summed over its query
 * heads), once, after the prefix, or again and again while it is read; positions are those of the text, never renumbered.
 */
const POLICIES = {
  /** Everything. */
  full: () => full,

  /**
   * Ours. The attention of the questions (or of what stands in for them, or of the last 32 queries), what an entry's
   * neighbourhood received on average and at most; entries given to the heads that lose most without them, see `leastLoss`; adjacent pairs joined by cost, 4
   * sinks and 16 recent entries left alone, log mass; then masses and values matched to what
   * the questions got of all entries (Attention Matching, arXiv 2602.16284, from merged entries instead of chosen ones).
   */
  'calibrated-merge': ({ scoring = 'window', matching = true }) =>
    composePolicy(
      'calibrated-merge',
      neighbourhood(scoring),
      leastLoss,
      mergeByCost(fixedEnds(SINKS, RECENT)),
      matching && scoring !== 'window',
    ),

  /** `calibrated-merge` with eviction in place of merging: same score, same allocation, same ends kept. */
  'calibrated-evict': ({ scoring }) =>
    composePolicy('calibrated-evict', neighbourhood(scoring), leastLoss, evict(fixedEnds(SINKS, RECENT))),

  /**
   * DuoAttention (arXiv 2410.10819): retrieval heads keep everything, the others 4 sinks and recent entries. Published: heads
   * are found by optimising gates, and the others keep 64 + 256 entries whatever the length. Here: by the loss each causes
   * when it alone is cut like that, and the others keep min(5 %, 0.6 x budget), about as much at 8k, so that the budget is met.
   */
  'duo-attention': () =>
    composePolicy('duo-attention', recency, twoClasses(STREAMING_FLOOR), evict(fixedEnds(SINKS, 0))),

  /**
   * KVMerger (arXiv 2407.08454), see `mergeAdjacent`: sigma 5, protected shares as published. Published is mass `count` and
   * a threshold of 0.75; the defaults here are `log` and exactly the budget.
   */
  kvmerger: ({ mass = 'log', threshold }) =>
    composePolicy('kvmerger', accumulated, uniform, mergeAdjacent(mass, threshold)),

  /**
   * H2O (arXiv 2306.14048): half of the kept entries the most recent ones, half those with most accumulated attention.
   * Published: evicts while it reads, so that later queries see only what is left.
   */
  h2o: () => composePolicy('h2o', accumulated, uniform, evict(recentHalf)),

  /**
   * SnapKV (arXiv 2404.14469): the last 32 entries, and those with most attention from them, averaged over 5 neighbours
   * (its code's default; the paper also uses 7 and maxima). Published scores each query head; with `questions` they take
   * the place of the window's queries, and the window is kept still.
   */
  snapkv: ({ scoring }) => composePolicy('snapkv', pooledWindow(scoring), uniform, evict(fixedEnds(0, WINDOW_TOKENS))),

  /**
   * PyramidKV (arXiv 2406.02069): SnapKV with more entries in lower layers, see `pyramid`. Published: window 8; here 32, so
   * that it differs from `snapkv` by its allocation alone.
   */
  pyramidkv: ({ scoring }) =>
    composePolicy('pyramidkv', pooledWindow(scoring), pyramid(WINDOW_TOKENS), evict(fixedEnds(0, WINDOW_TOKENS))),

  /**
   * TOVA (arXiv 2401.06104): the entries with most attention from the last query. Published: averaged over all heads of a
   * layer, which then keeps the same tokens in every head, and step by step; here per KV head and once.
   */
  tova: ({ scoring }) =>
    composePolicy(
      'tova',
      receivedAttention(scoring === 'questions' ? scoring : 'last'),
      uniform,
      evict(fixedEnds(0, 0)),
    ),

  /**
   * StreamingLLM (arXiv 2309.17453): 4 sinks and the most recent entries. Published: positions are renumbered within the
   * cache.
   */
  'streaming-llm': () => composePolicy('streaming-llm', recency, uniform, evict(fixedEnds(SINKS, 0))),

  /**
   * CaM (Zhang et al., ICML 2024): evicted values are spread over the 32 kept ones that follow, see `spreadEvicted`, here
   * with H2O's choice of what is kept. Published: at random and while decoding, on top of StreamingLLM or H2O.
   */
  cam: () => composePolicy('cam', accumulated, uniform, spreadEvicted(recentHalf, WINDOW_TOKENS)),

  /**
   * D2O (arXiv 2406.13035): evicted entries are merged into the nearest kept ones, see `mergeEvicted`; of the kept entries a
   * quarter are the most recent, 4 the sinks, the others those with most accumulated attention. Published: layers share the
   * budget by the variance of their attention, which is not known before the document is read; here uniform. Published
   * too: a moving threshold while decoding; here suffix and generated tokens stay whole.
   */
  d2o: () => composePolicy('d2o', accumulated, uniform, mergeEvicted(recentQuarter)),
} satisfies Record<string, (options: PolicyOptions) => Policy>;

export type PolicyName = keyof typeof POLICIES;

export const policyNames = Object.keys(POLICIES) as readonly PolicyName[];

export function isPolicyName(name: unknown): name is PolicyName {
  return typeof name === 'string' && Object.hasOwn(POLICIES, name);
}

/**
 * The policy of that name.
 * @throws UnknownPolicyError, InvalidMassModeError, InvalidScoringError, InvalidPolicyNumberError
 */
export function createPolicy(name: string, options: PolicyOptions = {}): Policy {
  if (!isPolicyName(name)) throw new UnknownPolicyError(name, policyNames);
  const { mass, scoring, threshold } = options;
  if (mass !== undefined && !MASS_MODES.includes(mass)) throw new InvalidMassModeError(mass, MASS_MODES);
  if (scoring !== undefined && !SCORINGS.includes(scoring)) throw new InvalidScoringError(scoring, SCORINGS);
  if (threshold !== undefined && !(Math.abs(threshold) <= 1)) {
    throw new InvalidPolicyNumberError('threshold', 'from -1 to 1', threshold);
  }
  return POLICIES[name](options);
}
