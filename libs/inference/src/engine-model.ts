import { createHash } from 'node:crypto';
import type { LlamaShape } from '@app/onnx-graph';
import type { Calibration } from './calibration-file.js';
import { MAX_ITEMS } from './continuous-batch.js';
import type { EngineModel } from './engine-port.js';
import { entryBytes } from './held-prefix.js';
import { divideKvMemory } from './kv-memory.js';
import type { Precision } from './model-files.js';
import { STAND_IN_QUESTIONS } from './stand-in-questions.js';

/** Bytes of the keys and values of one token that stays whole. */
export const tokenBytes = ({
  layers,
  kvHeads,
  headSize,
}: Pick<LlamaShape, 'layers' | 'kvHeads' | 'headSize'>): number =>
  2 * layers * kvHeads * headSize * Float32Array.BYTES_PER_ELEMENT;

/**
 * What the engine tells of itself.
 * @param modelHash of the model file
 * @param kvBytes that all keys and values may take
 */
export function describeModel(
  shape: LlamaShape,
  modelHash: string,
  precision: Precision,
  calibration: Calibration,
  kvBytes: number,
): EngineModel {
  const { contextLength, layers, kvHeads, headSize } = shape;
  const missing = 'missing' in calibration;
  const calibrated = missing ? '' : [calibration.sensitivity, calibration.shares, calibration.loss];
  return {
    identity: createHash('sha256')
      .update(`${modelHash}\n${precision}\n${calibrated}\n${STAND_IN_QUESTIONS}`)
      .digest('hex'),
    contextLength,
    layers,
    kvHeads,
    headSize,
    entryBytes: entryBytes(headSize),
    ...divideKvMemory(kvBytes, tokenBytes(shape), contextLength),
    itemsAtOnce: MAX_ITEMS,
    ...(missing ? { uncalibrated: calibration.missing } : { calibration }),
  };
}
