import type { Value } from './graph-builder.js';
import type { LlamaShape } from './llama-description.js';

/**
 * The graphs of one model.
 * - `prefill`: n tokens on top of what is held of those read so far; and the attention each entry received.
 * - `decode`: tokens of several items on top of their document's compressed prefix and of their own tails.
 * - `decode-documents`: the same for the items of several documents at once, each document in a slot of its own.
 */
export const PHASES = ['prefill', 'decode', 'decode-documents'] as const;
export type Phase = (typeof PHASES)[number];
export type DecodePhase = Exclude<Phase, 'prefill'>;

/** Documents a run of each decode graph has room for. An empty slot costs a run about 1 ms, so one document has a graph of its own. */
export const DOCUMENT_SLOTS: Readonly<Record<DecodePhase, number>> = { decode: 1, 'decode-documents': 4 };

/** How the keys and values of a held prefix are given to the decode graphs, which compute with float32 either way. */
export const KV_TYPES = ['f32', 'f16'] as const;
export type KvType = (typeof KV_TYPES)[number];

/** Values that every layer of a graph shares, whichever the graph. */
export interface StepValues {
  readonly shape: LlamaShape;
  readonly positions: Value;
  readonly ropeCosine: Value;
  readonly ropeSine: Value;
  /** Target of Reshape: `[1, n, queryHeads * D]`. */
  readonly flat: Value;
  /** Columns of query, key and value: sizes of Split. */
  readonly projected: Value;
}

/** Projections of the n tokens of a step: query `[1, n, queryHeads * D]`, key and value `[1, n, kvHeads * D]`. */
export interface Projections {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/** Adds one layer's attention to a graph; its value is `[1, n, queryHeads * D]`. */
export type Attention = (layer: number, projections: Projections) => Value;
