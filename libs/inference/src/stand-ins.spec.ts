import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { HeadCalibration } from '@app/kv-policy';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { Probe } from './probe.js';
import { seededRandom } from './random.js';
import { standoutPassages } from './standout-passages.js';
import { expectClose } from './testing/expect-close.js';

const folder = mkdtempSync(join(tmpdir(), 'longhaul-stand-ins-'));
const random = seededRandom(3);
const tokens = Array.from({ length: 1400 }, () => 10 + Math.floor(random() * 200));
let probe: Probe;
beforeAll(async () => {
  const modelPath = join(folder, 'tiny.gguf');
  // 24 KV heads: more than are looked at for what stands out.
  writeTinyGguf(modelPath, { contextLength: 2048, layers: 6, queryHeads: 4, kvHeads: 4 });
  probe = await Probe.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 2 });
});
afterAll(async () => {
  await probe.close();
  rmSync(folder, { recursive: true, force: true });
});

test('passages that stand out in the heads that matter are repeated beside the general questions', async () => {
  const sensitivity = Float32Array.from({ length: 24 }, (_, head) => (head * 7) % 24);
  const calibration: HeadCalibration = { sensitivity, shares: new Float32Array(1), loss: new Float32Array(24) };
  const cache = await probe.read(tokens, ['questions']);
  const { headSize } = probe.shape;
  const mattering = cache.heads.filter((_, head) => sensitivity[head]! >= 8);
  const passages = await standoutPassages(tokens, mattering, headSize, probe.gguf.hyperparameters, async () => {});
  expect(passages).toHaveLength(2);
  const attention = async (questions: readonly (readonly number[])[]) => {
    await probe.scoreQuestions(cache, questions);
    return cache.heads.map((head) => head.attention.questions!.slice());
  };
  const newParagraph = probe.gguf.tokenizer.encode('\n\n');
  const ofQuestions = await attention(probe.standIns.questions);
  const ofPassages = await attention(passages.map((passage) => [...newParagraph, ...passage]));
  await probe.scoreStandIns(cache, tokens, calibration);
  for (const [head, { attention }] of cache.heads.entries()) {
    // Two passages count as much as 0.3 of the six questions.
    const expected = ofQuestions[head]!.map((sum, i) => sum + ((0.3 * 6) / 2) * ofPassages[head]![i]!);
    expectClose(attention.questions!, expected, 1e-5);
  }
});

test('without a calibration heads of all layers are looked at', async () => {
  const cache = await probe.read(tokens, ['questions']);
  const { headSize } = probe.shape;
  // 16 of 24: two of three.
  const spread = cache.heads.filter((_, head) => head % 3 !== 0);
  const passages = await standoutPassages(tokens, spread, headSize, probe.gguf.hyperparameters, async () => {});
  const newParagraph = probe.gguf.tokenizer.encode('\n\n');
  await probe.scoreQuestions(cache, probe.standIns.questions);
  const ofQuestions = cache.heads.map((head) => head.attention.questions!.slice());
  await probe.scoreQuestions(
    cache,
    passages.map((passage) => [...newParagraph, ...passage]),
  );
  const ofPassages = cache.heads.map((head) => head.attention.questions!.slice());
  await probe.scoreStandIns(cache, tokens);
  for (const [head, { attention }] of cache.heads.entries()) {
    const expected = ofQuestions[head]!.map((sum, i) => sum + 0.9 * ofPassages[head]![i]!);
    expectClose(attention.questions!, expected, 1e-5);
  }
});

test('where no head holds every token the questions stand alone', async () => {
  const cache = await probe.read(tokens, ['questions']);
  for (const head of cache.heads) head.entries -= 1;
  await probe.scoreQuestions(cache, probe.standIns.questions);
  const expected = cache.heads.map((head) => head.attention.questions!.slice());
  await probe.scoreStandIns(cache, tokens);
  for (const [head, { attention }] of cache.heads.entries()) expectClose(attention.questions!, expected[head]!, 1e-6);
});
