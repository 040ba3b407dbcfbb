/** Rows that are turned at a time: with 64 channels they fit into the first-level cache. */
const BLOCK = 64;

/**
 * A matrix turned: `[entries, channels]` -> `[channels, entries]`.
 * @param turned where to; a new array when left out
 */
export function channelMajor(
  rows: Float32Array,
  entries: number,
  channels: number,
  turned: Float32Array = new Float32Array(entries * channels),
): Float32Array {
  for (let from = 0; from < entries; from += BLOCK) {
    const to = Math.min(from + BLOCK, entries);
    for (let channel = 0; channel < channels; channel++) {
      for (let entry = from; entry < to; entry++) turned[channel * entries + entry] = rows[entry * channels + channel]!;
    }
  }
  return turned;
}
