import { readFile } from 'node:fs/promises';
import type { LlamaShape } from '@app/onnx-graph';

/** What is known of a model's KV heads; written once by `longhaul calibrate` and kept beside the model file. */
export interface CalibrationFile {
  readonly version: typeof CALIBRATION_VERSION;
  /** Of the model file that was measured. */
  readonly model_sha256: string;
  /** `[layers][kvHeads]` KL divergence of the answer when that head alone is cut to sinks and recent tokens, mean 1 in every sample. */
  readonly sensitivity: readonly (readonly number[])[];
  /** How it was made: command, samples, date. */
  readonly made: Readonly<Record<string, unknown>>;
}

export const CALIBRATION_VERSION = 1;

/** Path of a model's calibration file: `model.gguf` -> `model.calibration.json`. */
export const calibrationPath = (modelPath: string): string => modelPath.replace(/\.gguf$/i, '.calibration.json');

/** A calibration that fits the model, or why there is none. */
export type Calibration = { readonly sensitivity: Float32Array } | { readonly missing: string };

/** Reads a model's calibration. A file that is missing, damaged or of another model is no error: budgets are uniform then. */
export async function readCalibration(path: string, modelSha256: string, shape: LlamaShape): Promise<Calibration> {
  const text = await readFile(path, 'utf8').catch(() => undefined);
  if (text === undefined) return { missing: `there is no ${path}; run: longhaul calibrate` };
  let file: Partial<CalibrationFile>;
  try {
    file = JSON.parse(text) as Partial<CalibrationFile>;
  } catch {
    return { missing: `${path} is not JSON; run: longhaul calibrate` };
  }
  if (file.version !== CALIBRATION_VERSION) {
    return { missing: `${path} has version ${file.version}, expected ${CALIBRATION_VERSION}; run: longhaul calibrate` };
  }
  if (file.model_sha256 !== modelSha256)
    return { missing: `${path} was made for another model file; run: longhaul calibrate` };
  const rows = file.sensitivity;
  const fits =
    Array.isArray(rows) &&
    rows.length === shape.layers &&
    rows.every(
      (row) =>
        Array.isArray(row) && row.length === shape.kvHeads && row.every((value) => value >= 0 && value < Infinity),
    );
  if (!fits)
    return {
      missing: `${path} does not hold ${shape.layers} x ${shape.kvHeads} sensitivities; run: longhaul calibrate`,
    };
  return { sensitivity: Float32Array.from((rows as number[][]).flat()) };
}
