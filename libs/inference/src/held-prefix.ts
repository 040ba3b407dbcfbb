import type { HeadCalibration, Policy } from '@app/kv-policy';
import { IO, type KvType, type LlamaShape } from '@app/onnx-graph';
import { Tensor } from 'onnxruntime-node';
import { channelMajor } from './channel-major.js';
import { toHalfFloats } from './half-floats.js';
import type { HeadEntries } from './merge-kernel.js';
import type { ReadingCache } from './reading-cache.js';

/** Numbers as float32, or the bits of float16s. */
export type HeldEntries = Float32Array | Uint16Array;

/**
 * What stays of one KV head, of M entries; the mass only as what the graph adds to the logits. Keys entry by entry and values
 * channel by channel: each lies as the sums of its product run, so that few queries read it in order.
 */
export interface HeldHead<Entries extends HeldEntries = HeldEntries> {
  /** `[M, headSize]`, after RoPE. */
  readonly keys: Entries;
  /** `[headSize, M]` */
  readonly values: Entries;
  /** `[M]` added to the entry's attention logits. */
  readonly logMass: Float32Array;
}

/** Holds entries given one after another, `[M, headSize]`; keys as they are, in the array that was given where it is no longer. */
export function holdHead(
  { keys, values, logMass }: Omit<HeadEntries, 'mass'>,
  headSize: number,
): HeldHead<Float32Array> {
  const entries = logMass.length;
  return {
    keys: withoutRoom(keys, entries * headSize),
    values: channelMajor(values, entries, headSize),
    logMass,
  };
}

/** The same in the arrays that were given, so that nothing is held twice; these are used up. */
export function holdInPlace(
  { keys, values, logMass }: Omit<HeadEntries, 'mass'>,
  headSize: number,
  scratch: Float32Array,
): HeldHead<Float32Array> {
  const entries = logMass.length;
  const size = entries * headSize;
  const turn = (rows: Float32Array): Float32Array => {
    if (rows.length !== size) return channelMajor(rows, entries, headSize);
    rows.set(channelMajor(rows, entries, headSize, scratch).subarray(0, size));
    return rows;
  };
  return { keys: withoutRoom(keys, size), values: turn(values), logMass };
}

/** The same head with its keys and values as `kvType`; a head of that type itself. */
export function holdAs(kvType: KvType, head: HeldHead<Float32Array>): HeldHead {
  if (kvType === 'f32') return head;
  return { ...head, keys: toHalfFloats(head.keys), values: toHalfFloats(head.values) };
}

const withoutRoom = (rows: Float32Array, size: number): Float32Array =>
  rows.length === size ? rows : rows.slice(0, size);

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

/** Bytes of one entry of one KV head: key and value, and log-mass as float32. */
export const entryBytes = (headSize: number, kvType: KvType = 'f32'): number =>
  2 * headSize * NUMBER_BYTES[kvType] + Float32Array.BYTES_PER_ELEMENT;

/** Entries kept, mean over layers and KV heads. */
export function meanEntries({ heads }: HeldPrefix): number {
  return heads.reduce((sum, head) => sum + head.logMass.length, 0) / heads.length;
}

/** Bytes really held by keys, values and masses. */
export function heldBytes({ heads }: HeldPrefix): number {
  return heads.reduce((sum, head) => sum + head.keys.byteLength + head.values.byteLength + head.logMass.byteLength, 0);
}

/**
 * Compresses a cache head by head to what the policy allocates, however it was read. The cache stays as it was; the engine
 * uses it up instead (`CompressThreads`).
 * @param calibration of the model
 * @throws InvalidBudgetError
 */
export function compressedHeads(
  { shape, tokens, heads }: ReadingCache,
  policy: Policy,
  budget: number,
  calibration?: HeadCalibration,
): HeldHead<Float32Array>[] {
  const room = { tokens, layers: shape.layers, kvHeads: shape.kvHeads };
  const entries = policy.allocate(room, budget, calibration);
  return heads.map((head, index) => {
    const allocated = entries[index] as number;
    const whole = head.staysWhole(policy, allocated);
    return holdHead(whole ? head.whole() : head.compressed(policy, allocated).kept, shape.headSize);
  });
}

/** Holds given heads, one a layer and KV head, as the cache of a sequence of `tokens`. */
export function holdPrefix(shape: LlamaShape, tokens: number, heads: readonly HeldHead[]): HeldPrefix {
  const feeds: Record<string, Tensor> = {};
  for (const [index, { keys, values, logMass }] of heads.entries()) {
    const [layer, head] = [Math.floor(index / shape.kvHeads), index % shape.kvHeads];
    const entries = logMass.length;
    feeds[IO.prefixKey(layer, head)] = tensor(keys, [entries, shape.headSize]);
    feeds[IO.prefixValue(layer, head)] = tensor(values, [shape.headSize, entries]);
    feeds[IO.prefixLogMass(layer, head)] = new Tensor('float32', logMass, [entries]);
  }
  return { tokens, heads, feeds };
}

const tensor = (entries: HeldEntries, dims: readonly number[]): Tensor =>
  entries instanceof Float32Array ? new Tensor('float32', entries, dims) : new Tensor('float16', entries, dims);
