import { IO, type LlamaShape } from '@app/onnx-graph';
import { Tensor } from 'onnxruntime-node';

/** Tokens by which room grows: what it costs to have too much is bounded, and so is how often everything moves. */
const GROWTH = 64;

/**
 * The whole tokens after a prefix, of several items: keys and values of their suffixes and answers. One buffer a layer,
 * `[items, kvHeads, capacity, headSize]`, every item with the capacity that the longest one needs.
 */
export class Tails {
  /** Tokens each item has room for. */
  capacity = 0;
  /** Tokens of each item. */
  private readonly lengths: number[] = [];
  private room = 0;
  private readonly keys: Float32Array[];
  private readonly values: Float32Array[];
  private held: Record<string, Tensor> | undefined;

  constructor(private readonly shape: LlamaShape) {
    this.keys = Array.from({ length: shape.layers }, () => new Float32Array(0));
    this.values = Array.from({ length: shape.layers }, () => new Float32Array(0));
  }

  get items(): number {
    return this.lengths.length;
  }

  lengthOf(item: number): number {
    return this.lengths[item] as number;
  }

  /** Begins an empty tail behind the others. */
  add(): void {
    this.lengths.push(0);
    this.held = undefined;
    if (this.items > this.room) this.resize(Math.max(this.items, 2 * this.room), this.capacity);
  }

  /** Ends a tail; the last one takes its place. */
  remove(item: number): void {
    const last = this.items - 1;
    const size = this.itemSize(this.capacity);
    for (const list of [this.keys, this.values]) {
      for (const held of list) held.copyWithin(item * size, last * size, (last + 1) * size);
    }
    this.lengths[item] = this.lengthOf(last);
    this.lengths.pop();
    this.held = undefined;
    const needed = Math.max(0, ...this.lengths);
    if (roomFor(needed) <= this.capacity / 2) this.resize(this.room, roomFor(needed));
  }

  /**
   * Appends tokens `[from, from + tokens)` of a run to an item.
   * @param entries `[2 * layers, n, kvHeads * headSize]`, as of `RunOutputs`
   */
  append(item: number, entries: Float32Array, from: number, tokens: number): void {
    const { layers, kvHeads, headSize } = this.shape;
    const length = this.lengthOf(item);
    if (length + tokens > this.capacity) this.resize(this.room, roomFor(length + tokens));
    const size = entries.length / (2 * layers);
    for (let layer = 0; layer < layers; layer++) {
      const keys = this.keys[layer] as Float32Array;
      const values = this.values[layer] as Float32Array;
      for (let token = 0; token < tokens; token++) {
        for (let head = 0; head < kvHeads; head++) {
          const source = 2 * layer * size + ((from + token) * kvHeads + head) * headSize;
          const target = ((item * kvHeads + head) * this.capacity + length + token) * headSize;
          for (let i = 0; i < headSize; i++) {
            keys[target + i] = entries[source + i]!;
            values[target + i] = entries[source + size + i]!;
          }
        }
      }
    }
    this.lengths[item] = length + tokens;
  }

  /** Takes the only item of `other` over as a new one. */
  adopt(other: Tails): void {
    this.add();
    const item = this.items - 1;
    const length = other.lengthOf(0);
    if (length > this.capacity) this.resize(this.room, roomFor(length));
    for (let layer = 0; layer < this.shape.layers; layer++) {
      this.copyItem(other.keys[layer]!, 0, other.capacity, this.keys[layer]!, item, this.capacity, length);
      this.copyItem(other.values[layer]!, 0, other.capacity, this.values[layer]!, item, this.capacity, length);
    }
    this.lengths[item] = length;
  }

  /** What the decode graphs are fed of all items. */
  feeds(): Readonly<Record<string, Tensor>> {
    if (this.held === undefined) {
      const { layers, kvHeads, headSize } = this.shape;
      const dims = [this.items, kvHeads, this.capacity, headSize];
      const size = this.items * this.itemSize(this.capacity);
      this.held = {};
      for (let layer = 0; layer < layers; layer++) {
        this.held[IO.tailKey(layer)] = new Tensor('float32', this.keys[layer]!.subarray(0, size), dims);
        this.held[IO.tailValue(layer)] = new Tensor('float32', this.values[layer]!.subarray(0, size), dims);
      }
    }
    return this.held;
  }

  private itemSize(capacity: number): number {
    return this.shape.kvHeads * capacity * this.shape.headSize;
  }

  private resize(room: number, capacity: number): void {
    for (const list of [this.keys, this.values]) {
      for (const [layer, held] of list.entries()) {
        const resized = new Float32Array(room * this.itemSize(capacity));
        for (const [item, length] of this.lengths.entries()) {
          this.copyItem(held, item, this.capacity, resized, item, capacity, length);
        }
        list[layer] = resized;
      }
    }
    this.room = room;
    this.capacity = capacity;
    this.held = undefined;
  }

  private copyItem(
    from: Float32Array,
    fromItem: number,
    fromCapacity: number,
    to: Float32Array,
    toItem: number,
    toCapacity: number,
    length: number,
  ): void {
    const { kvHeads, headSize } = this.shape;
    for (let head = 0; head < kvHeads && length > 0; head++) {
      const start = (fromItem * kvHeads + head) * fromCapacity * headSize;
      to.set(from.subarray(start, start + length * headSize), (toItem * kvHeads + head) * toCapacity * headSize);
    }
  }
}

/** Tokens of room that a tail of so many takes. */
export const roomFor = (tokens: number): number => Math.ceil(tokens / GROWTH) * GROWTH;
