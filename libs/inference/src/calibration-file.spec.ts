import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { LlamaShape } from '@app/onnx-graph';
import { afterAll, describe, expect, test } from 'vitest';
import { CALIBRATION_VERSION, calibrationPath, readCalibration } from './calibration-file.js';

const shape = { layers: 2, kvHeads: 2 } as LlamaShape;
const good = {
  version: CALIBRATION_VERSION,
  model_sha256: 'abc',
  sensitivity: [
    [1, 0.5],
    [0, 2.5],
  ],
  shares: [0.1, 0.5],
  loss: [
    [
      [3, 1],
      [0.5, 0.25],
    ],
    [
      [0, 0],
      [2, 1.5],
    ],
  ],
  made: {},
};

describe('calibration file', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-calibration-'));
  const path = join(folder, 'model.calibration.json');
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  const read = (content: string) => {
    writeFileSync(path, content);
    return readCalibration(path, 'abc', shape);
  };

  test('lies beside the model', () => {
    expect(calibrationPath('/models/a.b.GGUF')).toBe('/models/a.b.calibration.json');
  });

  test('gives sensitivity and losses of every layer and KV head', async () => {
    expect(await read(JSON.stringify(good))).toEqual({
      sensitivity: Float32Array.of(1, 0.5, 0, 2.5),
      shares: Float32Array.of(0.1, 0.5),
      loss: Float32Array.of(3, 1, 0.5, 0.25, 0, 0, 2, 1.5),
    });
  });

  test.each([
    ['missing', undefined, 'there is no'],
    ['not JSON', '{', 'not JSON'],
    ['of another version', JSON.stringify({ ...good, version: 99 }), 'version 99'],
    ['of another model', JSON.stringify({ ...good, model_sha256: 'def' }), 'another model'],
    ['without shares', JSON.stringify({ ...good, shares: [] }), 'no ascending shares'],
    ['of shares in disorder', JSON.stringify({ ...good, shares: [0.5, 0.1] }), 'no ascending shares'],
    ['of other shares than losses', JSON.stringify({ ...good, shares: [0.1, 0.2, 0.5] }), '2 x 2'],
    ['too short', JSON.stringify({ ...good, sensitivity: [[1, 2]] }), '2 x 2'],
    [
      'not of numbers',
      JSON.stringify({
        ...good,
        sensitivity: [
          [1, 2],
          [3, 'x'],
        ],
      }),
      '2 x 2',
    ],
    [
      'negative',
      JSON.stringify({
        ...good,
        sensitivity: [
          [1, 2],
          [3, -1],
        ],
      }),
      '2 x 2',
    ],
  ])('that is %s says so, and budgets are uniform', async (_, content, reason) => {
    const found =
      content === undefined ? await readCalibration(join(folder, 'none.json'), 'abc', shape) : await read(content);
    expect(found).toEqual({ missing: expect.stringContaining(reason) });
  });
});
