import type { Allocation } from './allocation.js';

/** Every KV head keeps floor(budget x T) entries, and at least one. */
export const uniform: Allocation = {
  calibrated: false,
  allocate: ({ tokens, layers, kvHeads }, budget) =>
    new Int32Array(layers * kvHeads).fill(Math.max(1, Math.floor(budget * tokens))),
};
