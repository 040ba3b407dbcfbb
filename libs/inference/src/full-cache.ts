import type { LlamaShape } from '@app/onnx-graph';

/**
 * The whole cache of a prefix while it is read: room for all tokens from the start, filled chunk by chunk.
 * Lists have one array a layer and KV head, at `layer * kvHeads + head`.
 */
export class FullCache {
  /** Tokens read so far. */
  length = 0;
  /** `[tokens, headSize]`, after RoPE */
  readonly keys: Float32Array[];
  /** `[tokens, headSize]` */
  readonly values: Float32Array[];
  /** `[tokens]` attention received, summed over all later queries; empty arrays without statistics. */
  readonly attention: Float32Array[];

  constructor(
    readonly shape: LlamaShape,
    /** Tokens there is room for. */
    readonly tokens: number,
    statistics: boolean,
  ) {
    const heads = Array.from({ length: shape.layers * shape.kvHeads });
    this.keys = heads.map(() => new Float32Array(tokens * shape.headSize));
    this.values = heads.map(() => new Float32Array(tokens * shape.headSize));
    this.attention = heads.map(() => new Float32Array(statistics ? tokens : 0));
  }

  /** Appends one layer's keys and values `[n, kvHeads, headSize]` behind `length`; `length` itself moves with `advance`. */
  append(layer: number, keys: Float32Array, values: Float32Array): void {
    const { kvHeads, headSize } = this.shape;
    for (let head = 0; head < kvHeads; head++) {
      const keyTo = this.keys[layer * kvHeads + head] as Float32Array;
      const valueTo = this.values[layer * kvHeads + head] as Float32Array;
      for (let from = head * headSize, to = this.length * headSize; from < keys.length; from += kvHeads * headSize) {
        keyTo.set(keys.subarray(from, from + headSize), to);
        valueTo.set(values.subarray(from, from + headSize), to);
        to += headSize;
      }
    }
  }

  advance(tokens: number): void {
    this.length += tokens;
  }
}
