import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { calibrationPath } from '@app/inference';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { tinyGguf } from '../../test/tiny-gguf.js';
import { ContextLengthError, stretchModel } from './stretched-model.js';

let folder: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'stretched-'));
});
afterEach(() => rmSync(folder, { recursive: true }));

test('a stretched model takes longer documents and keeps weights and calibration', async () => {
  const path = join(folder, 'tiny.gguf');
  writeFileSync(path, tinyGguf());
  const model = await GgufModel.open(path);
  const calibration = { version: 7, sensitivity: [[1, 2]] };
  const made = { ...calibration, model_sha256: await model.contentHash() };
  writeFileSync(calibrationPath(path), JSON.stringify(made));

  const longer = stretchModel(path, 4096, join(folder, 'new'));
  const stretched = await GgufModel.open(longer);
  expect(model.hyperparameters.contextLength).toBe(512);
  expect(stretched.hyperparameters).toEqual({ ...model.hyperparameters, contextLength: 4096 });
  expect(await stretched.readTensor('token_embd.weight')).toEqual(await model.readTensor('token_embd.weight'));
  const copied = JSON.parse(readFileSync(calibrationPath(longer), 'utf8'));
  expect(copied).toEqual({ ...calibration, model_sha256: await stretched.contentHash() });
  await model.close();
  await stretched.close();
});

test('a file without a context length is refused', () => {
  const path = join(folder, 'other.gguf');
  writeFileSync(path, 'GGUF and nothing of use');
  expect(() => stretchModel(path, 4096, folder)).toThrow(ContextLengthError);
});
