import { createPolicy, type MassMode, type Policy, type Scoring } from '@app/kv-policy';
import type { QualityMode } from './prompts.js';

/** The end of a whole prompt is its question. */
const SCORING: Readonly<Record<QualityMode, Scoring>> = {
  seen: 'questions',
  together: 'questions',
  unseen: 'stand-ins',
  prompt: 'window',
};

/**
 * The policy that a bench row names: `NAME`, or `NAME:MASS` and `NAME:MASS:THRESHOLD` for those that have the settings
 * (`kvmerger:count:0.75` is KVMerger as published); `calibrated-merge:unmatched` is without matching to the questions' attention.
 * @throws UnknownPolicyError, InvalidMassModeError, InvalidPolicyNumberError
 */
export function namedPolicy(row: string, mode: QualityMode): Policy {
  const [name = '', setting, threshold] = row.split(':');
  const unmatched = setting === 'unmatched';
  return createPolicy(name, {
    scoring: SCORING[mode],
    matching: !unmatched,
    mass: unmatched ? undefined : (setting as MassMode | undefined),
    threshold: threshold === undefined ? undefined : Number(threshold),
  });
}
