/**
 * Marks the `count` largest of the first `length` values: `[length]` of 0 and 1. Of equal values the earlier one is
 * taken; NaN counts as the smallest. O(length log length), by a native sort of a copy.
 * @param eligible `[length]` if given, only values whose flag is 1 are marked; at least `count` of them
 */
export function markLargest(values: Float32Array, length: number, count: number, eligible?: Uint8Array): Uint8Array {
  const marks = new Uint8Array(length);
  if (count <= 0) return marks;
  const sorted = new Float32Array(length);
  let candidates = 0;
  for (let i = 0; i < length; i++) {
    if (eligible === undefined || eligible[i] === 1) sorted[candidates++] = orderable(values[i]!);
  }
  if (candidates < count)
    throw new RangeError(`Expected at least ${count} values to choose from, found ${candidates}.`);
  sorted.subarray(0, candidates).sort();
  const threshold = sorted[candidates - count]!;

  let above = 0;
  for (let i = candidates - count; i < candidates; i++) if (sorted[i]! > threshold) above++;
  // Values equal to the threshold fill what is left, earlier ones first.
  let equalLeft = count - above;
  for (let i = 0; i < length; i++) {
    if (eligible !== undefined && eligible[i] === 0) continue;
    const value = orderable(values[i]!);
    if (value > threshold || (value === threshold && equalLeft-- > 0)) marks[i] = 1;
  }
  return marks;
}

function orderable(value: number): number {
  return Number.isNaN(value) ? Number.NEGATIVE_INFINITY : value;
}
