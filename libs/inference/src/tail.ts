import { IO, type LlamaShape } from '@app/onnx-graph';
import { Tensor } from 'onnxruntime-node';

const FIRST_CAPACITY = 64;

/** The whole tokens after a prefix: keys and values of one item's suffix and answer, `[t, kvHeads, headSize]` a layer. */
export class Tail {
  /** Tokens held (t). */
  length = 0;
  private capacity = FIRST_CAPACITY;
  private readonly keys: Float32Array[];
  private readonly values: Float32Array[];
  private readonly tokenSize: number;

  constructor(private readonly shape: LlamaShape) {
    this.tokenSize = shape.kvHeads * shape.headSize;
    const empty = () => Array.from({ length: shape.layers }, () => new Float32Array(this.capacity * this.tokenSize));
    this.keys = empty();
    this.values = empty();
  }

  /** Appends one layer's keys and values `[n, kvHeads, headSize]` behind `length`; `length` itself moves with `advance`. */
  append(layer: number, keys: Float32Array, values: Float32Array): void {
    this.reserve(this.length + keys.length / this.tokenSize);
    this.keys[layer]?.set(keys, this.length * this.tokenSize);
    this.values[layer]?.set(values, this.length * this.tokenSize);
  }

  advance(tokens: number): void {
    this.length += tokens;
  }

  feeds(): Record<string, Tensor> {
    const feeds: Record<string, Tensor> = {};
    const dims = [this.length, this.shape.kvHeads, this.shape.headSize];
    const read = (from: Float32Array) => new Tensor('float32', from.subarray(0, this.length * this.tokenSize), dims);
    for (let layer = 0; layer < this.shape.layers; layer++) {
      feeds[IO.tailKey(layer)] = read(this.keys[layer] as Float32Array);
      feeds[IO.tailValue(layer)] = read(this.values[layer] as Float32Array);
    }
    return feeds;
  }

  private reserve(tokens: number): void {
    if (tokens <= this.capacity) return;
    this.capacity = Math.max(tokens, 2 * this.capacity);
    for (const list of [this.keys, this.values]) {
      for (const [layer, held] of list.entries()) {
        const grown = new Float32Array(this.capacity * this.tokenSize);
        grown.set(held);
        list[layer] = grown;
      }
    }
  }
}
