import type { Allocation } from './allocation.js';

/** How many times less than the mean the last layer keeps (beta of the published code). */
const STEEPNESS = 20;

/**
 * Lower layers keep more (PyramidKV, arXiv 2406.02069): what is kept beside the window falls linearly from the first
 * layer to the last, which keeps a twentieth of the mean; where the first one would keep more than there is, the pyramid
 * is flatter. The mean over layers is exactly floor(budget x T); the KV heads of a layer keep the same.
 * @param window entries that every layer keeps whole
 */
export function pyramid(window: number): Allocation {
  return {
    calibrated: false,
    allocate({ tokens, layers, kvHeads }, budget) {
      const mean = Math.max(1, Math.floor(budget * tokens));
      const beside = Math.max(0, mean - window);
      const spread = Math.min(beside - Math.floor(beside / STEEPNESS), tokens - mean);
      // Truncation is symmetric about 0, so layers as far from the middle cancel out.
      return Int32Array.from({ length: layers * kvHeads }, (_, head) => {
        const layer = Math.floor(head / kvHeads);
        return layers === 1 ? mean : mean + Math.trunc((spread * (layers - 1 - 2 * layer)) / (layers - 1));
      });
    },
  };
}
