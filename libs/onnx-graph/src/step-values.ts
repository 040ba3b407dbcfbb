import type { Value } from './graph-builder.js';
import type { LlamaShape } from './llama-description.js';

/**
 * The graphs of one model.
 * - `prefill`: n tokens on top of what was read so far, every entry one token; and the attention each entry received.
 * - `decode`: n tokens on top of a compressed prefix and a tail of whole tokens.
 */
export const PHASES = ['prefill', 'decode'] as const;
export type Phase = (typeof PHASES)[number];

/** Values that every layer of a graph shares. */
export interface StepValues {
  readonly shape: LlamaShape;
  readonly phase: Phase;
  readonly positions: Value;
  readonly ropeCosine: Value;
  readonly ropeSine: Value;
  readonly tailBias: Value;
  /** Prefill only; empty elsewhere. */
  readonly queryWeight: Value;
  /** Decode only; empty elsewhere. */
  readonly tailLength: Value;
  /** 1 / sqrt(headSize) */
  readonly scale: Value;
  /** One scalar index a KV head, for Gather. */
  readonly headIndex: readonly Value[];
  /** Targets of Reshape. */
  readonly flat: Value;
  readonly queryHeads: Value;
  readonly queryRows: Value;
  readonly keyHeads: Value;
  readonly perQueryHead: Value;
  /** Bounds and axes of Slice and Unsqueeze; `one` and `end` only in decode. */
  readonly zero: Value;
  readonly one: Value;
  readonly end: Value;
}
