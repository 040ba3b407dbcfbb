import type { AttentionKind } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';
import { ReadingHead } from './reading-head.js';

/** The cache of a prefix while it is read, filled chunk by chunk. */
export class ReadingCache {
  /** Tokens read so far; also the next position. */
  length = 0;
  /** One a layer and KV head, at `layer * kvHeads + head`. */
  readonly heads: readonly ReadingHead[];

  /**
   * @param tokens of the whole prefix
   * @param attention kinds of statistics to gather
   * @param capacities `[layers * kvHeads]` entries there is room for in each head; room for all tokens when left out
   */
  constructor(
    readonly shape: LlamaShape,
    readonly tokens: number,
    attention: readonly AttentionKind[],
    capacities?: Int32Array,
  ) {
    this.heads = Array.from(
      { length: shape.layers * shape.kvHeads },
      (_, index) => new ReadingHead(capacities?.[index] ?? tokens, shape.headSize, attention),
    );
  }

  /** Bytes of all arrays, statistics included. */
  get bytes(): number {
    return this.heads.reduce((sum, head) => sum + head.bytes, 0);
  }

  /** Appends one layer's keys and values `[n, kvHeads, headSize]`; `length` moves with `advance`. */
  append(layer: number, keys: Float32Array, values: Float32Array): void {
    const { kvHeads, headSize } = this.shape;
    for (let head = 0; head < kvHeads; head++) {
      this.heads[layer * kvHeads + head]?.append(keys, values, head * headSize, kvHeads * headSize);
    }
  }

  advance(tokens: number): void {
    this.length += tokens;
  }

  /** Frees all heads: where it is given up. */
  release(): void {
    for (const head of this.heads) head.release();
  }
}
