import type { LlamaHyperparameters } from '@app/gguf-model';

/** What a piece of work needs at least, whoever does it. */
export interface ModelCost {
  /** Operations of products with weights; a multiply-add counts two. */
  readonly linearFlops: number;
  /** Operations of attention's two products. */
  readonly attentionFlops: number;
  /** Bytes of weights and cache that must be read from memory. */
  readonly bytes: number;
}

export type Shape = Pick<
  LlamaHyperparameters,
  'layers' | 'hidden' | 'queryHeads' | 'kvHeads' | 'headSize' | 'feedForward' | 'vocabulary'
>;

/** Weights of all layers' products: `layers * (hidden * (2 Hq + 2 Hkv) * D + 3 * hidden * feedForward)`. */
export function layerWeights(shape: Shape): number {
  const { layers, hidden, queryHeads, kvHeads, headSize, feedForward } = shape;
  return layers * hidden * ((2 * queryHeads + 2 * kvHeads) * headSize + 3 * feedForward);
}

/**
 * Reading n tokens without logits. Linear: `2 * weights * n`. Attention: a query at position i meets i + 1 keys, each of
 * them 2 D operations for its score and 2 D for its value: `layers * Hq * 4 D * n (n + 1) / 2`. Memory does not bound it.
 */
export function prefillCost(shape: Shape, tokens: number): ModelCost {
  const { layers, queryHeads, headSize } = shape;
  return {
    linearFlops: 2 * layerWeights(shape) * tokens,
    attentionFlops: layers * queryHeads * 4 * headSize * ((tokens * (tokens + 1)) / 2),
    bytes: 0,
  };
}

/** How weights and cache lie in memory. */
export interface HeldAs {
  /** Bytes of one weight, scales included. */
  readonly weightBytes: number;
  /** Bytes of one entry of one KV head: key, value and mass. */
  readonly entryBytes: number;
}

/**
 * One step: `sequences` new tokens, one in each of the sequences that share a cache of `entries` entries a KV head (mean),
 * with their logits. Bytes: every weight and every entry once, whatever the number of sequences:
 * `weightBytes * (weights + vocabulary * hidden) + entryBytes * layers * Hkv * entries`.
 */
export function decodeCost(shape: Shape, entries: number, held: HeldAs, sequences = 1): ModelCost {
  const { layers, hidden, queryHeads, kvHeads, headSize, vocabulary } = shape;
  const weights = layerWeights(shape) + vocabulary * hidden;
  return {
    linearFlops: 2 * weights * sequences,
    attentionFlops: layers * queryHeads * 4 * headSize * entries * sequences,
    bytes: held.weightBytes * weights + held.entryBytes * layers * kvHeads * entries,
  };
}

/** Rates that were measured on the machine. */
export interface Roofline {
  /** Operations a second of products with 8-bit weights. */
  readonly int8Flops: number;
  readonly floatFlops: number;
  /** Bytes a second read from memory. */
  readonly memoryBytes: number;
}

/**
 * Seconds that the work takes at the measured rates: weights at the 8-bit rate, attention at the float rate, and never
 * less than its bytes take (Williams et al. 2009, the roofline model).
 */
export function secondsAtRoofline(cost: ModelCost, roofline: Roofline): number {
  const compute = cost.linearFlops / roofline.int8Flops + cost.attentionFlops / roofline.floatFlops;
  return Math.max(compute, cost.bytes / roofline.memoryBytes);
}
