import { HELD_KEY_COLUMNS, IO, type KvType, type LlamaShape } from '@app/onnx-graph';
import { Tensor } from 'onnxruntime-node';
import { toHalfFloats } from './half-floats.js';
import type { HeadEntries } from './merge-kernel.js';

/** Numbers as float32, or the bits of float16s. */
export type HeldEntries = Float32Array | Uint16Array;

/**
 * What stays of one KV head, of M entries, as the decode graphs read it (`IO.heldKey`, `IO.heldValue`); the mass only as what they
 * add to the logits. Keys entry by entry and values channel by channel: each lies as the sums of its product run, so that few
 * queries read it in order.
 */
export interface HeldHead<Entries extends HeldEntries = HeldEntries> {
  /** M */
  readonly entries: number;
  /** `[1 + M, headSize + 2]` keys after RoPE, log-mass, and what marks entry 0. */
  readonly keys: Entries;
  /** `[headSize, 1 + M]` */
  readonly values: Entries;
}

/** Entries as they lie before they are held: keys and values one after another, `[M, headSize]`, which may be longer. */
export type RowEntries = Omit<HeadEntries, 'mass'>;

/** Holds entries in arrays of their own. */
export function holdHead({ keys, values, logMass }: RowEntries, headSize: number): HeldHead<Float32Array> {
  const entries = logMass.length;
  const held = headRoom(entries, headSize, 'f32');
  const size = headSize + HELD_KEY_COLUMNS;
  held.keys[size - 1] = Math.sqrt(headSize);
  for (let entry = 0; entry < entries; entry++) {
    const to = (1 + entry) * size;
    for (let d = 0; d < headSize; d++) held.keys[to + d] = keys[entry * headSize + d]!;
    held.keys[to + headSize] = logMass[entry]!;
  }
  turn(values, entries, headSize, held.values);
  return held;
}

/** Room for a head of so many entries. */
export function headRoom(entries: number, headSize: number, kvType: 'f32'): HeldHead<Float32Array>;
export function headRoom(entries: number, headSize: number, kvType: KvType): HeldHead;
export function headRoom(entries: number, headSize: number, kvType: KvType): HeldHead {
  const Numbers = kvType === 'f16' ? Uint16Array : Float32Array;
  return {
    entries,
    keys: new Numbers((1 + entries) * (headSize + HELD_KEY_COLUMNS)),
    values: new Numbers(headSize * (1 + entries)),
  };
}

/** The same head with its keys and values as `kvType`; a head of that type itself. */
export function holdAs(kvType: KvType, head: HeldHead<Float32Array>): HeldHead {
  if (kvType === 'f32') return head;
  return { entries: head.entries, keys: toHalfFloats(head.keys), values: toHalfFloats(head.values) };
}

/** Rows that are turned at a time: with 64 channels they fit into the first-level cache. */
const BLOCK = 64;

/** `[entries, channels]` -> `[channels, 1 + entries]`, the first column of which stays as it is. */
function turn(rows: Float32Array, entries: number, channels: number, turned: Float32Array): void {
  for (let from = 0; from < entries; from += BLOCK) {
    const to = Math.min(from + BLOCK, entries);
    for (let channel = 0; channel < channels; channel++) {
      const row = channel * (1 + entries) + 1;
      for (let entry = from; entry < to; entry++) turned[row + entry] = rows[entry * channels + channel]!;
    }
  }
}

/** A compressed cache: every layer and KV head at its own length, held at that size. */
export interface HeldPrefix {
  /** Length of the sequence the cache stands for; also the next position. */
  readonly tokens: number;
  /** One a layer and KV head, at `layer * kvHeads + head`. */
  readonly heads: readonly HeldHead[];
  /** What the decode graph is fed, made once. */
  readonly feeds: Readonly<Record<string, Tensor>>;
}

/** Bytes of one number of a key or value. */
const NUMBER_BYTES: Readonly<Record<KvType, number>> = {
  f32: Float32Array.BYTES_PER_ELEMENT,
  f16: Uint16Array.BYTES_PER_ELEMENT,
};

/** Bytes of one entry of one KV head: key, log-mass and mark; and value. */
export const entryBytes = (headSize: number, kvType: KvType = 'f32'): number =>
  (2 * headSize + HELD_KEY_COLUMNS) * NUMBER_BYTES[kvType];

/** Bytes of a head that holds so many entries, and entry 0. */
export const headBytes = (entries: number, headSize: number, kvType: KvType = 'f32'): number =>
  (1 + entries) * entryBytes(headSize, kvType);

/** Entries kept, mean over layers and KV heads. */
export function meanEntries({ heads }: HeldPrefix): number {
  return heads.reduce((sum, head) => sum + head.entries, 0) / heads.length;
}

/** Bytes really held by keys, values and masses. */
export function heldBytes({ heads }: HeldPrefix): number {
  return heads.reduce((sum, head) => sum + head.keys.byteLength + head.values.byteLength, 0);
}

/** Holds given heads, one a layer and KV head, as the cache of a sequence of `tokens`. */
export function holdPrefix(shape: LlamaShape, tokens: number, heads: readonly HeldHead[]): HeldPrefix {
  const feeds: Record<string, Tensor> = {};
  for (const [index, head] of heads.entries()) {
    Object.assign(feeds, headFeeds(Math.floor(index / shape.kvHeads), index % shape.kvHeads, shape.headSize, head));
  }
  return { tokens, heads, feeds };
}

/** What the decode graph is fed of one head. */
export function headFeeds(
  layer: number,
  head: number,
  headSize: number,
  { entries, keys, values }: HeldHead,
): Record<string, Tensor> {
  return {
    [IO.heldKey(layer, head)]: tensor(keys, [1 + entries, headSize + HELD_KEY_COLUMNS]),
    [IO.heldValue(layer, head)]: tensor(values, [headSize, 1 + entries]),
  };
}

const tensor = (entries: HeldEntries, dims: readonly number[]): Tensor =>
  entries instanceof Float32Array ? new Tensor('float32', entries, dims) : new Tensor('float16', entries, dims);
