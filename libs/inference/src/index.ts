export type { AskedRows } from './asked-rows.js';
export { CALIBRATION_VERSION, type CalibrationFile, calibrationPath, readCalibration } from './calibration-file.js';
export { divergence } from './divergence.js';
export { Engine, type EngineOptions } from './engine.js';
export {
  ContextOverflowError,
  EngineAbortedError,
  EngineCrashedError,
  KvMemoryExceededError,
  UnknownCacheError,
  UnusableSchemaError,
} from './engine-errors.js';
export type {
  AnswerPiece,
  CacheHandle,
  Compression,
  EngineModel,
  EnginePort,
  GeneratedToken,
  GenerateRequest,
  Generation,
  HeldCache,
  JsonFormat,
  PrefillRequest,
  Reading,
  SamplingOptions,
  StoreRequest,
  TokenBias,
  TokenLogprob,
} from './engine-port.js';
export { type CalibrationSample, calibrationOf, measureSample, type SampleMeasure } from './head-calibration.js';
export { type DocumentLease, type DocumentListener, type DocumentRequest, HeldDocuments } from './held-documents.js';
export type { HeldPrefix } from './held-prefix.js';
export { entryBytes, headBytes, heldBytes } from './held-prefix.js';
export type { MergingRead } from './merging-read.js';
export { ModelFiles, type Precision } from './model-files.js';
export { Probe } from './probe.js';
export type { ReadingCache } from './reading-cache.js';
export { startEngine } from './start-engine.js';
