import { assertBudget } from './allocation/allocation.js';
import type { Policy } from './policy.js';
import { keepAll } from './reduction/reduction.js';

/** Keeps every entry, whatever the budget says. */
export const full: Policy = {
  name: 'full',
  calibrated: false,
  exact: true,
  matching: false,
  needs: { attention: [], similarity: false },
  allocate({ tokens, layers, kvHeads }, budget) {
    assertBudget(budget);
    return new Int32Array(layers * kvHeads).fill(tokens);
  },
  plan: (head) => keepAll(head.entries),
};
