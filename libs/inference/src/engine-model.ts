import { createHash } from 'node:crypto';
import type { KvType, LlamaShape } from '@app/onnx-graph';
import type { Calibration } from './calibration-file.js';
import { MAX_ITEMS } from './continuous-batch.js';
import type { EngineModel } from './engine-port.js';
import { entryBytes } from './held-prefix.js';
import { divideKvMemory } from './kv-memory.js';
import type { Precision } from './model-files.js';
import { STAND_INS } from './stand-ins.js';

/** Bytes of the keys and values of one token that stays whole. */
export const tokenBytes = ({
  layers,
  kvHeads,
  headSize,
}: Pick<LlamaShape, 'layers' | 'kvHeads' | 'headSize'>): number =>
  2 * layers * kvHeads * headSize * Float32Array.BYTES_PER_ELEMENT;

/** What an engine is made of. */
export interface EngineParts {
  readonly shape: LlamaShape;
  /** Of the model file. */
  readonly modelHash: string;
  readonly precision: Precision;
  readonly kvType: KvType;
  readonly calibration: Calibration;
  /** That all keys and values may take. */
  readonly kvBytes: number;
  /** Threads that compress at a time. */
  readonly compressThreads: number;
}

/** What the engine tells of itself. */
export function describeModel(parts: EngineParts): EngineModel {
  const { shape, modelHash, precision, kvType, calibration, kvBytes, compressThreads } = parts;
  const { contextLength, layers, kvHeads, queryHeads, headSize } = shape;
  const missing = 'missing' in calibration;
  const calibrated = missing ? '' : [calibration.sensitivity, calibration.shares, calibration.loss];
  return {
    identity: createHash('sha256')
      .update(`${modelHash}\n${precision}\n${kvType}\n${calibrated}\n${STAND_INS}`)
      .digest('hex'),
    contextLength,
    layers,
    kvHeads,
    queryHeads,
    headSize,
    kvType,
    entryBytes: entryBytes(headSize, kvType),
    ...divideKvMemory(kvBytes, tokenBytes(shape), contextLength),
    itemsAtOnce: MAX_ITEMS,
    compressThreads,
    ...(missing ? { uncalibrated: calibration.missing } : { calibration }),
  };
}
