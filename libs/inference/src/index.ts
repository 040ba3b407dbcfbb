export { Engine, type EngineOptions } from './engine.js';
export { ContextOverflowError, EngineAbortedError, EngineCrashedError, UnknownCacheError } from './engine-errors.js';
export type {
  CacheHandle,
  Compression,
  EngineModel,
  EnginePort,
  GeneratedToken,
  GenerateRequest,
  Generation,
  HeldCache,
  PrefillRequest,
  SamplingOptions,
  TokenLogprob,
} from './engine-port.js';
export { ModelFiles, type Precision } from './model-files.js';
export { type ReadLogitsOptions, readLogits } from './read-logits.js';
export { startEngine } from './start-engine.js';
