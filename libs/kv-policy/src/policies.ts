import { uniform } from './allocation/uniform.js';
import { full } from './full.js';
import { composePolicy, type Policy } from './policy.js';
import { InvalidMassModeError, InvalidScoringError, UnknownPolicyError } from './policy-errors.js';
import { evict } from './reduction/evict.js';
import { MASS_MODES, type MassMode, mergeAdjacent } from './reduction/merge-adjacent.js';
import { accumulatedAttention } from './score/accumulated-attention.js';

/**
 * Whose attention says what an entry is worth, in policies that score by the prefix's last queries.
 * - `window`: those queries, as published
 * - `questions`: the items' own questions
 */
export const SCORINGS = ['window', 'questions'] as const;
export type Scoring = (typeof SCORINGS)[number];

/** Settings of a policy beside its budget; a policy ignores those it has no use for. */
export interface PolicyOptions {
  /** `kvmerger`: how a merged entry says how many tokens it stands for. Default `log`. */
  readonly mass?: MassMode | undefined;
  /** Whose attention scores; policies that score by accumulated attention ignore it. Default `window`. */
  readonly scoring?: Scoring | undefined;
}

/** Half of the kept entries are the most recent ones (H2O, arXiv 2306.14048). */
const recentHalf = (entries: number) => Math.floor(entries / 2);

/** Every policy but `full` is score x allocation x reduction. */
const POLICIES = {
  full: () => full,
  h2o: () => composePolicy('h2o', accumulatedAttention, uniform, evict(recentHalf)),
  kvmerger: ({ mass = 'log' }) => composePolicy('kvmerger', accumulatedAttention, uniform, mergeAdjacent(mass)),
} satisfies Record<string, (options: PolicyOptions) => Policy>;

export type PolicyName = keyof typeof POLICIES;

export const policyNames = Object.keys(POLICIES) as readonly PolicyName[];

export function isPolicyName(name: unknown): name is PolicyName {
  return typeof name === 'string' && Object.hasOwn(POLICIES, name);
}

/**
 * The policy of that name.
 * @throws UnknownPolicyError, InvalidMassModeError, InvalidScoringError
 */
export function createPolicy(name: string, options: PolicyOptions = {}): Policy {
  if (!isPolicyName(name)) throw new UnknownPolicyError(name, policyNames);
  if (options.mass !== undefined && !MASS_MODES.includes(options.mass)) {
    throw new InvalidMassModeError(options.mass, MASS_MODES);
  }
  if (options.scoring !== undefined && !SCORINGS.includes(options.scoring)) {
    throw new InvalidScoringError(options.scoring, SCORINGS);
  }
  return POLICIES[name](options);
}
