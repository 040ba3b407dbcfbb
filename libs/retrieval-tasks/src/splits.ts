import { SeedOutOfRangeError } from './errors.js';

/** What tasks are for: choosing budgets, or measuring what was chosen. Nothing that is planted for one is planted for the other. */
export type Split = 'calibration' | 'evaluation';

/** Random seeds of each split: `first` inclusive, `count` of them; the ranges do not meet. */
export const SEED_RANGES: Readonly<Record<Split, { readonly first: number; readonly count: number }>> = {
  calibration: { first: 0, count: 1_000_000 },
  evaluation: { first: 1_000_000, count: 1_000_000 },
};

/** The random seed that the user's `seed` stands for in `split`. Throws {@link SeedOutOfRangeError}. */
export function seedOf(split: Split, seed: number): number {
  const { first, count } = SEED_RANGES[split];
  if (!Number.isInteger(seed) || seed < 0 || seed >= count) throw new SeedOutOfRangeError(split, seed, count);
  return first + seed;
}

/**
 * The one split in which `text` (a key, a value, a variable) may be planted, by one bit of its hash. A number or a name
 * has no other property that would tell which split it is of.
 */
export function splitOf(text: string): Split {
  // FNV-1a; its lowest bit alone is only the parity of the characters, so the halves are folded into it
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 16;
  hash = Math.imul(hash, 0x85ebca6b);
  return ((hash >>> 13) & 1) === 0 ? 'calibration' : 'evaluation';
}
