import { type Allocation, bySensitivity, totalEntries } from './allocation.js';
import { uniform } from './uniform.js';

/**
 * The most sensitive heads keep everything, the others a floor: retrieval is the work of few heads, and what they lose
 * a second half of the document cannot give back (DuoAttention, arXiv 2410.10819; here with a total to meet).
 *
 * Every head gets floor(share x T) entries, share = min(floorShare, 0.6 x budget); as many of the most sensitive heads
 * as the rest pays for keep all T, and what is left over goes to the next one, so that the total is exactly
 * floor(budget x T x heads). Without a calibration: uniform.
 */
export function twoClasses(floorShare: number): Allocation {
  return {
    calibrated: true,
    allocate(shape, budget, calibration) {
      if (calibration === undefined) return uniform.allocate(shape, budget);
      const { sensitivity } = calibration;
      // Never so many that the budget buys nothing beyond the floor.
      const floor = Math.max(1, Math.floor(Math.min(floorShare, 0.6 * budget) * shape.tokens));
      const entries = new Int32Array(sensitivity.length).fill(floor);
      let left = totalEntries(shape, budget) - floor * entries.length;
      for (const head of bySensitivity(sensitivity)) {
        const more = Math.min(left, shape.tokens - floor);
        entries[head]! += more;
        left -= more;
      }
      return entries;
    },
  };
}
