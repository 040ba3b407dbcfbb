import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createPolicy } from '@app/kv-policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { holdPrefix } from './held-prefix.js';
import { Probe } from './probe.js';
import { type CalibrationSample, measureSensitivity } from './sensitivity.js';

const ids = (count: number, step: number) => Array.from({ length: count }, (_, i) => 10 + ((i * step) % 240));
const samples: CalibrationSample[] = [
  { prefix: ids(150, 7), suffix: [20, 21], answer: [30, 31, 32] },
  { prefix: ids(120, 11), suffix: [40], answer: [] },
];

describe('sensitivity of KV heads', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-sensitivity-'));
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

  test('is one figure a head, mean 1, the same every time; progress ends at 1', async () => {
    const shares: number[] = [];
    const found = await measureSensitivity(probe, samples, (share) => shares.push(share));
    expect(found.length).toBe(4);
    expect(found.every((value) => value >= 0)).toBe(true);
    expect(found.reduce((sum, value) => sum + value, 0) / 4).toBeCloseTo(1, 4);
    expect(await measureSensitivity(probe, samples, () => {})).toEqual(found);
    expect(shares).toEqual([...shares].sort((a, b) => a - b));
    expect(shares.at(-1)).toBe(1);
  });

  test('is the divergence of the answer when that head alone keeps 4 sinks and 64 recent tokens', async () => {
    const [{ prefix, suffix, answer }] = samples as [CalibrationSample];
    const found = await measureSensitivity(probe, samples.slice(0, 1), () => {});
    const full = probe.compress(await probe.read(prefix, []), createPolicy('full'), 1);
    const exact = await probe.forced(full, suffix, answer);
    const { headSize, vocabulary } = probe.shape;
    const kept = [...prefix.keys()].filter((i) => i < 4 || i >= prefix.length - 64);
    const divergences: number[] = [];
    for (let cut = 0; cut < 4; cut++) {
      const rows = (source: Float32Array) =>
        Float32Array.from(kept.flatMap((i) => [...source.subarray(i * headSize, (i + 1) * headSize)]));
      const heads = full.heads.map((head, index) =>
        index === cut
          ? { keys: rows(head.keys), values: rows(head.values), logMass: new Float32Array(kept.length) }
          : head,
      );
      const logits = await probe.forced(holdPrefix(probe.shape, prefix.length, heads), suffix, answer);
      let sum = 0;
      for (let row = 0; row < answer.length; row++) {
        const [p, q] = [exact, logits].map((all) => softmax(all.subarray(row * vocabulary, (row + 1) * vocabulary)));
        sum += p!.reduce((kl, share, i) => kl + share * Math.log(share / q![i]!), 0);
      }
      divergences.push(sum / answer.length);
    }
    const mean = divergences.reduce((sum, value) => sum + value, 0) / 4;
    for (const [head, value] of divergences.entries()) expect(found[head]).toBeCloseTo(value / mean, 3);
  });
});

function softmax(logits: Float32Array): number[] {
  const weights = [...logits].map((value) => Math.exp(value));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}
