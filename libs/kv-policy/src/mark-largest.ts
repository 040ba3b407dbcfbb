/**
 * Marks the `count` largest of the first `length` values: `[length]` of 0 and 1. Of equal values the earlier one is
 * taken; NaN counts as the smallest. O(length).
 * @param eligible `[length]` if given, only values whose flag is 1 are marked; at least `count` of them
 */
export function markLargest(values: Float32Array, length: number, count: number, eligible?: Uint8Array): Uint8Array {
  const marks = new Uint8Array(length);
  if (count <= 0) return marks;
  const candidates = new Float32Array(length);
  let found = 0;
  for (let i = 0; i < length; i++) {
    if (eligible === undefined || eligible[i] === 1) candidates[found++] = orderable(values[i]!);
  }
  if (found < count) throw new RangeError(`Expected at least ${count} values to choose from, found ${found}.`);
  const threshold = kthLargest(candidates.subarray(0, found), count);

  let above = 0;
  for (let i = 0; i < found; i++) if (candidates[i]! > threshold) above++;
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

/** Shift and size of the digits of a 32-bit key, highest first. */
const DIGITS = [
  { shift: 21, size: 2048 },
  { shift: 10, size: 2048 },
  { shift: 0, size: 1024 },
];

/** The k-th largest value, 1 <= k <= length, without NaN: radix selection over the bits, several times faster than sorting. */
function kthLargest(values: Float32Array, k: number): number {
  const keys = new Uint32Array(values.length);
  new Float32Array(keys.buffer).set(values);
  // As unsigned numbers in the order of the floats: negative ones turned round, the others above them.
  for (let i = 0; i < keys.length; i++) keys[i] = keys[i]! >>> 31 === 1 ? ~keys[i]! : keys[i]! | 0x80000000;
  let left = keys.length;
  let rank = k;
  for (const { shift, size } of DIGITS) {
    const counts = new Uint32Array(size);
    for (let i = 0; i < left; i++) counts[(keys[i]! >>> shift) & (size - 1)]!++;
    let digit = size - 1;
    while (counts[digit]! < rank) rank -= counts[digit--]!;
    let next = 0;
    for (let i = 0; i < left; i++) if (((keys[i]! >>> shift) & (size - 1)) === digit) keys[next++] = keys[i]!;
    left = next;
  }
  keys[0] = keys[0]! >>> 31 === 1 ? keys[0]! & 0x7fffffff : ~keys[0]!;
  return new Float32Array(keys.buffer)[0]!;
}
