import { type Allocation, type HeadCalibration, totalEntries } from './allocation.js';
import { uniform } from './uniform.js';

/** One head's next stretch of entries and what an entry of it saves. */
interface Stretch {
  readonly head: number;
  readonly entries: number;
  /** Loss saved an entry. */
  readonly rate: number;
}

/**
 * Entries go where they save most: each head's measured loss over its kept share is replaced by its lower convex hull,
 * and the budget is spent on the stretches of all hulls in the order of what an entry of them saves (the optimum for
 * losses that add up: Shoham and Gersho, 1988, "Efficient bit allocation for an arbitrary set of quantizers").
 *
 * Every head starts with the smallest share that was measured; the total is exactly floor(budget x T x heads). Without a
 * calibration, and where the budget does not exceed the smallest share: uniform.
 */
export const leastLoss: Allocation = {
  calibrated: true,
  allocate(shape, budget, calibration) {
    if (calibration === undefined) return uniform.allocate(shape, budget);
    const { shares } = calibration;
    const least = Math.max(1, Math.floor(shares[0]! * shape.tokens));
    const heads = shape.layers * shape.kvHeads;
    let left = totalEntries(shape, budget) - least * heads;
    if (left <= 0) return uniform.allocate(shape, budget);
    const entries = new Int32Array(heads).fill(least);
    const stretches = Array.from({ length: heads }, (_, head) => hull(calibration, head, shape.tokens, least)).flat();
    // Sorting is stable: a head's stretches, whose rates fall, stay in order, and of equal heads the earlier comes first.
    stretches.sort((a, b) => b.rate - a.rate);
    for (const stretch of stretches) {
      const more = Math.min(left, stretch.entries);
      entries[stretch.head]! += more;
      left -= more;
    }
    return entries;
  },
};

/** The stretches of one head's lower convex hull from `least` entries to all of them, where the loss is 0. */
function hull({ shares, loss }: HeadCalibration, head: number, tokens: number, least: number): Stretch[] {
  const points: [entries: number, loss: number][] = [[least, loss[head * shares.length]!]];
  for (let i = 1; i < shares.length; i++) {
    points.push([Math.floor(shares[i]! * tokens), loss[head * shares.length + i]!]);
  }
  points.push([tokens, 0]);
  const stretches: Stretch[] = [];
  for (let from = 0; from < points.length - 1; ) {
    let next = from + 1;
    for (let to = next + 1; to < points.length; to++) {
      if (rate(points[from]!, points[to]!) >= rate(points[from]!, points[next]!)) next = to;
    }
    const entries = points[next]![0] - points[from]![0];
    if (entries > 0) stretches.push({ head, entries, rate: rate(points[from]!, points[next]!) });
    from = next;
  }
  return stretches;
}

/** Loss saved an entry between two points; points of a short text that fall together say nothing. */
function rate([entries, loss]: [number, number], [moreEntries, lessLoss]: [number, number]): number {
  return moreEntries > entries ? (loss - lessLoss) / (moreEntries - entries) : Number.NEGATIVE_INFINITY;
}
