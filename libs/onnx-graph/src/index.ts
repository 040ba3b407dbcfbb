export { DuplicateNameError, ELEMENT, type ElementType, type ExternalTensor, GraphBuilder } from './graph-builder.js';
export type { LayerWeights, LinearWeight, LlamaDescription, LlamaShape } from './llama-description.js';
export { buildMatchGraph, MASS_POWERS, MASS_REACH, MATCH_IO, RIDGE } from './match-graph.js';
export { HELD_KEY_COLUMNS, IO, OUT_OF_REACH } from './names.js';
export { buildGraph, type GraphOptions } from './step-graph.js';
export { type DecodePhase, DOCUMENT_SLOTS, KV_TYPES, type KvType, PHASES, type Phase } from './step-values.js';
