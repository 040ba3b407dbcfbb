import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPolicy } from '@app/kv-policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import {
  type CalibrationSample,
  calibrationOf,
  MEASURED_SHARES,
  measureSample,
  type SampleMeasure,
} from './head-calibration.js';
import { type HeldEntries, type HeldHead, holdHead, holdPrefix } from './held-prefix.js';
import { Probe } from './probe.js';

const ids = (count: number, step: number) => Array.from({ length: count }, (_, i) => 10 + ((i * step) % 240));
const samples: CalibrationSample[] = [
  { prefix: ids(150, 7), suffix: [20, 21], answer: [30, 31, 32] },
  { prefix: ids(120, 11), suffix: [40], answer: [] },
];

describe('calibration of KV heads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-heads-'));
  let probe: Probe;
  beforeAll(async () => {
    const modelPath = join(folder, 'tiny.gguf');
    writeTinyGguf(modelPath);
    probe = await Probe.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
  });
  afterAll(async () => {
    await probe.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** KL of the answer with each head alone replaced, by softmax over every row. */
  async function divergences(sample: CalibrationSample, replaced: (head: HeldHead, index: number) => HeldHead) {
    const { prefix, suffix, answer } = sample;
    const { vocabulary } = probe.shape;
    const full = await probe.compress(await probe.read(prefix, []), createPolicy('full'), 1);
    const exact = await probe.forced(full, suffix, answer);
    const found: number[] = [];
    for (let head = 0; head < 4; head++) {
      const heads = full.heads.map((whole, index) => (index === head ? replaced(whole, index) : whole));
      const logits = await probe.forced(holdPrefix(probe.shape, prefix.length, heads), suffix, answer);
      let sum = 0;
      for (let row = 0; row < answer.length; row++) {
        const [p, q] = [exact, logits].map((all) => softmax(all.subarray(row * vocabulary, (row + 1) * vocabulary)));
        sum += p!.reduce((kl, share, i) => kl + share * Math.log(share / q![i]!), 0);
      }
      found.push(sum / answer.length);
    }
    return found;
  }

  const meanOf = (values: readonly number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

  const measure = async (sample: CalibrationSample, onHead = () => {}) =>
    (await measureSample(probe, sample, 'questions', onHead)) as SampleMeasure;

  test('is the same every time, mean 1 over the heads and over the samples', async () => {
    let measured = 0;
    const found = await Promise.all(samples.map((sample) => measure(sample, () => measured++)));
    expect(measured).toBe(8);
    expect(await measure(samples[1]!)).toEqual(found[1]);
    const { sensitivity, shares, loss } = calibrationOf(found);
    expect(sensitivity).toHaveLength(4);
    expect([...shares]).toEqual([...Float32Array.from(MEASURED_SHARES)]);
    expect(loss).toHaveLength(4 * MEASURED_SHARES.length);
    expect(meanOf([...sensitivity])).toBeCloseTo(1, 4);
    expect(meanOf([...loss].filter((_, i) => i % MEASURED_SHARES.length === 0))).toBeCloseTo(1, 4);
    expect(loss[3]).toBeCloseTo((found[0]!.loss[3]! + found[1]!.loss[3]!) / 2, 4);
  });

  test('is the divergence of the answer when that head alone keeps 4 sinks and 64 recent tokens', async () => {
    const [sample] = samples as [CalibrationSample];
    const { headSize } = probe.shape;
    const kept = [...sample.prefix.keys()].filter((i) => i < 4 || i >= sample.prefix.length - 64);
    const [whole, width] = [1 + sample.prefix.length, headSize + 2];
    const keysOf = (keys: HeldEntries) =>
      kept.flatMap((i) => [...keys.subarray((1 + i) * width, (1 + i) * width + headSize)]);
    const valuesOf = (values: HeldEntries) =>
      kept.flatMap((i) => Array.from({ length: headSize }, (_, d) => values[d * whole + 1 + i]!));
    const slow = await divergences(sample, ({ keys, values }) => {
      const rows = { keys: Float32Array.from(keysOf(keys)), values: Float32Array.from(valuesOf(values)) };
      return holdHead({ ...rows, logMass: new Float32Array(kept.length) }, headSize);
    });
    const { sensitivity } = await measure(sample);
    for (const [head, value] of slow.entries()) expect(sensitivity[head]).toBeCloseTo(value / meanOf(slow), 3);
  });

  test('and when it alone is merged to each share, by its question', async () => {
    const [sample] = samples as [CalibrationSample];
    const policy = createPolicy('calibrated-merge', { scoring: 'questions' });
    const cache = await probe.read(sample.prefix, ['questions']);
    await probe.scoreQuestions(cache, [sample.suffix]);
    const { loss } = await measure(sample);
    let scale = 1;
    for (const [i, share] of MEASURED_SHARES.entries()) {
      const merged = await probe.compress(cache, policy, share);
      const slow = await divergences(sample, (_, index) => merged.heads[index] as HeldHead);
      if (i === 0) scale = meanOf(slow);
      for (const [head, value] of slow.entries()) {
        expect(loss[head * MEASURED_SHARES.length + i]).toBeCloseTo(value / scale, 3);
      }
    }
  });
});

function softmax(logits: Float32Array): number[] {
  const weights = [...logits].map((value) => Math.exp(value));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
