export { type Allocation, assertBudget, type CacheShape, type HeadCalibration } from './allocation/allocation.js';
export {
  type AttentionKind,
  type Combine,
  DROPPED,
  type HeadPlan,
  type HeadStatistics,
  type StatisticsNeeded,
  type Strays,
  WINDOW_TOKENS,
} from './plan.js';
export {
  createPolicy,
  isPolicyName,
  type PolicyName,
  type PolicyOptions,
  policyNames,
  SCORINGS,
  type Scoring,
} from './policies.js';
export { composePolicy, type Policy } from './policy.js';
export {
  InvalidBudgetError,
  InvalidMassModeError,
  InvalidPolicyNumberError,
  InvalidScoringError,
  UnknownPolicyError,
} from './policy-errors.js';
export { MASS_MODES, type MassMode } from './reduction/merge-adjacent.js';
