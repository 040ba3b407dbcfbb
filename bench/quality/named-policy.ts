import { createPolicy, type MassMode, type Policy } from '@app/kv-policy';
import type { QualityMode } from './prompts.js';

/**
 * The policy that a bench row names: `NAME`, or `NAME:MASS` and `NAME:MASS:THRESHOLD` for those that have the settings
 * (`kvmerger:count:0.75` is KVMerger as published). Questions score where the mode shows them.
 * @throws UnknownPolicyError, InvalidMassModeError, InvalidPolicyNumberError
 */
export function namedPolicy(row: string, mode: QualityMode): Policy {
  const [name = '', mass, threshold] = row.split(':');
  return createPolicy(name, {
    scoring: mode === 'seen' ? 'questions' : 'window',
    mass: mass as MassMode | undefined,
    threshold: threshold === undefined ? undefined : Number(threshold),
  });
}
