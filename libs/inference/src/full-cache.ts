import type { AttentionKind } from '@app/kv-policy';
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
  /** `[tokens]` attention received, for each kind that was asked for. */
  readonly attention: Partial<Record<AttentionKind, Float32Array[]>> = {};

  constructor(
    readonly shape: LlamaShape,
    /** Tokens there is room for. */
    readonly tokens: number,
    attention: readonly AttentionKind[],
  ) {
    const heads = Array.from({ length: shape.layers * shape.kvHeads });
    this.keys = heads.map(() => new Float32Array(tokens * shape.headSize));
    this.values = heads.map(() => new Float32Array(tokens * shape.headSize));
    for (const kind of attention) this.attention[kind] = heads.map(() => new Float32Array(tokens));
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

  /** One head's attention statistics, by kind. */
  attentionOf(index: number): Partial<Record<AttentionKind, Float32Array>> {
    return Object.fromEntries(Object.entries(this.attention).map(([kind, heads]) => [kind, heads[index]]));
  }

  /** Lets go of what is held of one head. */
  release(index: number): void {
    for (const list of [this.keys, this.values, ...Object.values(this.attention)]) list[index] = new Float32Array(0);
  }

  /** Adds sums `[kinds.length, m]` of one head to the first tokens of each kind, the rest of a row being later tokens. */
  addAttention(index: number, kinds: readonly AttentionKind[], sums: Float32Array): void {
    const columns = sums.length / kinds.length;
    for (const [row, kind] of kinds.entries()) {
      const total = this.attention[kind]?.[index] as Float32Array;
      const count = Math.min(columns, total.length);
      for (let i = 0; i < count; i++) total[i]! += sums[row * columns + i]!;
    }
  }
}
