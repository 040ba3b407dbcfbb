import { type Allocation, bySensitivity, totalEntries } from './allocation.js';
import { floorEntries } from './two-classes.js';
import { uniform } from './uniform.js';

/**
 * Entries in proportion to sensitivity^power, between a floor (as in `twoClasses`) and T: water filling.
 *
 * Where a head's loss is s x g(kept share), the best split makes s x g' equal over heads. g' = -share^(-1/power) gives
 * this family: power 0 is uniform, 1 in proportion (loss falls with the logarithm of the share), and the steeper the
 * power the nearer to two classes (loss falls linearly). Equal sensitivities get the same up to one entry, zeros the
 * floor. The total is exactly floor(budget x T x heads) as far as positive sensitivities can take it; what is left goes
 * to the others by their order. Without sensitivities: uniform.
 */
export function inProportion(floorShare: number, power: number): Allocation {
  return {
    calibrated: true,
    allocate(shape, budget, sensitivity) {
      if (sensitivity === undefined) return uniform.allocate(shape, budget);
      const { tokens } = shape;
      const floor = floorEntries(tokens, budget, floorShare);
      const total = totalEntries(shape, budget);
      const weight = relativeWeights(sensitivity, power);
      const level = waterLevel(weight, floor, tokens, total);
      const entries = Int32Array.from(weight, (w) => Math.floor(clamp(w * level, floor, tokens)));
      let left = total - entries.reduce((sum, n) => sum + n, 0);
      const order = bySensitivity(sensitivity);
      // One entry a head to those that rounding took one from, then to whoever has room.
      for (const step of [1, tokens]) {
        for (const head of order) {
          if (step === 1 && weight[head] === 0) continue;
          const more = Math.min(left, step, tokens - entries[head]!);
          entries[head]! += more;
          left -= more;
        }
      }
      return entries;
    },
  };
}

/** sensitivity^power with the largest at 1; 0 for what is not above 0. */
function relativeWeights(sensitivity: Float32Array, power: number): Float64Array {
  const largest = Math.max(...sensitivity);
  return Float64Array.from(sensitivity, (s) => (s > 0 ? (s / largest) ** power : 0));
}

/** The largest level at which the sum of clamp(weight x level, floor, tokens) does not exceed the total. */
function waterLevel(weight: Float64Array, floor: number, tokens: number, total: number): number {
  const least = weight.reduce((min, w) => (w > 0 ? Math.min(min, w) : min), 1);
  let low = 0;
  let high = Math.min(tokens / least, Number.MAX_VALUE / 2);
  // Halved until no double lies between: levels differ by many powers of two where the power is steep.
  for (let level = high / 2; level > low && level < high; level = (low + high) / 2) {
    const sum = weight.reduce((held, w) => held + clamp(w * level, floor, tokens), 0);
    if (sum > total) high = level;
    else low = level;
  }
  return low;
}

function clamp(value: number, low: number, high: number): number {
  return Math.min(Math.max(value, low), high);
}
