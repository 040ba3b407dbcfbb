import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { calibrationPath } from '@app/inference';

const KEY = 'llama.context_length';
/** GGUF's number of the value type uint32. */
const UINT32 = 4;

/** The model file has no context length that can be changed. */
export class ContextLengthError extends Error {
  override readonly name = 'ContextLengthError';
}

/**
 * A copy of a model that takes longer documents than it was trained for, with its calibration: what it says there is
 * worthless, what it costs is not.
 * @returns path of the copy
 */
export function stretchModel(modelPath: string, contextLength: number, folder: string): string {
  const model = readFileSync(modelPath);
  const key = Buffer.from(KEY);
  const at = model.indexOf(key) + key.length;
  if (at < key.length || model.readUInt32LE(at) !== UINT32) {
    throw new ContextLengthError(`Expected a ${KEY} of type uint32 in ${modelPath}, found none: leave --context out.`);
  }
  model.writeUInt32LE(contextLength, at + 4);
  mkdirSync(folder, { recursive: true });
  const path = join(folder, `context-${contextLength}.gguf`);
  writeFileSync(path, model);
  if (existsSync(calibrationPath(modelPath))) {
    const calibration = JSON.parse(readFileSync(calibrationPath(modelPath), 'utf8')) as Record<string, unknown>;
    const stretched = { ...calibration, model_sha256: createHash('sha256').update(model).digest('hex') };
    writeFileSync(calibrationPath(path), JSON.stringify(stretched));
  }
  return path;
}
