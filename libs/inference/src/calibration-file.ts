import { readFile } from 'node:fs/promises';
import type { HeadCalibration } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';

/** What is known of a model's KV heads; written once by `longhaul calibrate` and kept beside the model file. */
export interface CalibrationFile {
  readonly version: typeof CALIBRATION_VERSION;
  /** Of the model file that was measured. */
  readonly model_sha256: string;
  /** `[layers][kvHeads]`, see `HeadCalibration`. */
  readonly sensitivity: readonly (readonly number[])[];
  /** Kept shares at which `loss` was measured. */
  readonly shares: readonly number[];
  /** `[layers][kvHeads][shares]`, see `HeadCalibration`. */
  readonly loss: readonly (readonly (readonly number[])[])[];
  /** How it was made: command, samples, date. */
  readonly made: Readonly<Record<string, unknown>>;
}

export const CALIBRATION_VERSION = 2;

/** Path of a model's calibration file: `model.gguf` -> `model.calibration.json`. */
export const calibrationPath = (modelPath: string): string => modelPath.replace(/\.gguf$/i, '.calibration.json');

/** A calibration that fits the model, or why there is none. */
export type Calibration = HeadCalibration | { readonly missing: string };

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
  const { shares, sensitivity = [], loss = [] } = file;
  const { layers, kvHeads } = shape;
  if (!isAscendingShares(shares)) return { missing: `${path} holds no ascending shares; run: longhaul calibrate` };
  if (!isTable(sensitivity, [layers, kvHeads]) || !isTable(loss, [layers, kvHeads, shares.length])) {
    return {
      missing: `${path} does not hold sensitivities and losses of ${layers} x ${kvHeads} KV heads; run: longhaul calibrate`,
    };
  }
  return {
    sensitivity: Float32Array.from(sensitivity.flat()),
    shares: Float32Array.from(shares),
    loss: Float32Array.from(loss.flat(2)),
  };
}

function isAscendingShares(shares: unknown): shares is readonly number[] {
  return (
    Array.isArray(shares) &&
    shares.length > 0 &&
    shares.every((share, i) => typeof share === 'number' && share > (i > 0 ? shares[i - 1] : 0) && share < 1)
  );
}

/** Whether a value is nested arrays of these lengths with finite numbers of at least 0 in them. */
function isTable(value: unknown, [length, ...inner]: readonly number[]): boolean {
  if (length === undefined) return typeof value === 'number' && value >= 0 && value < Number.POSITIVE_INFINITY;
  return Array.isArray(value) && value.length === length && value.every((row) => isTable(row, inner));
}
