import type { CacheShape } from './allocation.js';

/** Every KV head keeps floor(budget x T) entries, and at least one. */
export function uniform({ tokens, layers, kvHeads }: CacheShape, budget: number): Int32Array {
  return new Int32Array(layers * kvHeads).fill(Math.max(1, Math.floor(budget * tokens)));
}
