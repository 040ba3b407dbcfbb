import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Probe } from '@app/inference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../test/tiny-gguf.js';
import type { QualitySample } from './datasets.js';
import { type MeasureSettings, measureSample } from './measure.js';
import { namedPolicy } from './named-policy.js';
import { buildPrompt } from './prompts.js';
import { type QualityRow, rowKey } from './rows.js';

const sample: QualitySample = {
  family: 'retrieval',
  dataset: 'made',
  id: 'made-1',
  documentText: 'the red fox ate 12 apples in the inn. '.repeat(5),
  questionText: ' what did it eat?',
  answerPrefix: '',
  answerTokens: 6,
  answers: ['the'],
  metric: 'all-of',
  firstLine: false,
  classes: [],
};

describe('rows of one sample', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-measure-'));
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

  async function measured(
    changes: Partial<MeasureSettings>,
    isDone = (_key: string) => false,
    others: readonly QualitySample[] = [],
  ): Promise<QualityRow[]> {
    const settings: MeasureSettings = {
      probe,
      calibration: undefined,
      policies: ['snapkv', 'h2o'],
      budgets: [0.5, 0.25],
      modes: ['seen'],
      readings: ['exact'],
      maxContext: 400,
      answerTokens: 48,
      ...changes,
    };
    const rows: QualityRow[] = [];
    for await (const row of measureSample(sample, settings, isDone, others)) rows.push(row);
    return rows;
  }

  /** KL and equal tokens of one policy along the full cache's answer, by softmax over every row. */
  async function slowly(
    name: string,
    budget: number,
    mode: 'seen' | 'together' | 'unseen' = 'seen',
    others: readonly (readonly number[])[] = [],
  ): Promise<{ kl: number; agreement: number; prefixTokens: number }> {
    const prompt = buildPrompt(sample, probe.gguf, 'seen', { maxContext: 400, answerTokens: 6 });
    const [prefix, suffix] = [[...prompt.prefix], [...prompt.suffix]];
    const policy = namedPolicy(name, mode);
    const cache = await probe.read(prefix, policy.needs.attention);
    const ask = () =>
      mode === 'unseen'
        ? probe.scoreStandIns(cache, prefix, undefined, policy.matching)
        : probe.scoreQuestions(cache, [suffix, ...others], policy.matching);
    const asked = policy.needs.attention.includes('questions') ? await ask() : undefined;
    const full = await probe.compress(cache, namedPolicy('full', 'seen'), 1);
    const { tokens, finishReason } = await probe.greedy(full, suffix, 6);
    const answer = finishReason === 'stop' ? [...tokens, probe.gguf.tokenizer.endOfTurnTokens.at(-1)!] : tokens;
    const [exact, found] = [
      await probe.forced(full, suffix, answer),
      await probe.forced(await probe.compress(cache, policy, budget, undefined, asked), suffix, answer),
    ];
    const size = probe.shape.vocabulary;
    let [kl, same] = [0, 0];
    for (let row = 0; row < answer.length; row++) {
      const [p, q] = [exact, found].map((logits) => softmax([...logits.subarray(row * size, (row + 1) * size)]));
      kl += p!.reduce((sum, share, i) => sum + share * Math.log(share / q![i]!), 0);
      same += p!.indexOf(Math.max(...p!)) === q!.indexOf(Math.max(...q!)) ? 1 : 0;
    }
    return { kl: kl / answer.length, agreement: same / answer.length, prefixTokens: prefix.length };
  }

  test('are one of the full cache and one a policy and budget, with figures that a slow count finds too', async () => {
    const rows = await measured({});
    expect(rows.map(({ policy, budget }) => [policy, budget])).toEqual([
      ['full', 1],
      ['snapkv', 0.5],
      ['snapkv', 0.25],
      ['h2o', 0.5],
      ['h2o', 0.25],
    ]);
    expect(rows[0]).toMatchObject({ kl: 0, agreement: 1, bytes_share: 1, mode: 'seen', dataset: 'made', id: 'made-1' });
    for (const row of rows.slice(1)) {
      const slow = await slowly(row.policy, row.budget);
      expect(row.kl).toBeGreaterThan(0);
      expect(row.kl).toBeCloseTo(slow.kl, 5);
      expect(row.agreement).toBe(slow.agreement);
      // Every head has an entry more than it keeps.
      const kept = Math.round(row.bytes_share * (1 + slow.prefixTokens) - 1) / slow.prefixTokens;
      expect(kept).toBeGreaterThan(row.budget - 0.02);
      expect(kept).toBeLessThanOrEqual(row.budget);
    }
  });

  test('are scored by the question where it is seen and by general ones where it is not', async () => {
    const rows = await measured({ modes: ['seen', 'unseen'], policies: ['calibrated-merge'], budgets: [0.1] });
    const [, seen, , unseen] = rows as [QualityRow, QualityRow, QualityRow, QualityRow];
    expect([seen.mode, unseen.mode]).toEqual(['seen', 'unseen']);
    expect(seen.kl).toBeCloseTo((await slowly('calibrated-merge', 0.1)).kl, 5);
    expect(unseen.kl).toBeCloseTo((await slowly('calibrated-merge', 0.1, 'unseen')).kl, 5);
    expect(unseen.kl).not.toBeCloseTo(seen.kl, 4);
  });

  test('are scored by the questions of other samples too where they are known together', async () => {
    const other = { ...sample, questionText: ' is the inn old?', answerPrefix: ' It' };
    const wanted = { modes: ['seen', 'together'], policies: ['calibrated-merge'], budgets: [0.1] } as const;
    const [, seen, , together] = (await measured(wanted, undefined, [other])) as QualityRow[];
    const suffix = [...buildPrompt(other, probe.gguf, 'seen', { maxContext: 400, answerTokens: 6 }).suffix];
    expect(together!.kl).toBeCloseTo((await slowly('calibrated-merge', 0.1, 'together', [suffix])).kl, 5);
    expect(together!.kl).not.toBeCloseTo(seen!.kl, 4);
  });

  test('leave out what was measured before', async () => {
    const rows = await measured({});
    const done = new Set(rows.slice(0, 3).map(rowKey));
    const rest = await measured({}, (key) => done.has(key));
    const figures = ({ policy, budget, kl, score }: QualityRow) => ({ policy, budget, kl, score });
    expect(rest.map(figures)).toEqual(rows.slice(3).map(figures));
  });

  test('of a mode that compresses the whole prompt are measured on its last token', async () => {
    const rows = await measured({ modes: ['prompt', 'unseen'], policies: ['streaming-llm'], budgets: [0.5] });
    expect(rows.map(({ policy, mode }) => [policy, mode])).toEqual([
      ['full', 'prompt'],
      ['streaming-llm', 'prompt'],
      ['full', 'unseen'],
      ['streaming-llm', 'unseen'],
    ]);
  });

  test('name the settings of KVMerger, and its threshold keeps less than the budget', async () => {
    const rows = await measured({ policies: ['kvmerger', 'kvmerger:count', 'kvmerger:log:-1'], budgets: [0.5] });
    const [log, count, loose] = rows.slice(1) as [QualityRow, QualityRow, QualityRow];
    expect(rows.map(({ policy }) => policy)).toEqual(['full', 'kvmerger', 'kvmerger:count', 'kvmerger:log:-1']);
    expect(count.bytes_share).toBe(log.bytes_share);
    expect(count.kl).not.toBe(log.kl);
    expect(loose.bytes_share).toBeLessThan(log.bytes_share);
    await expect(measured({ policies: ['kvmerger:half'] })).rejects.toThrow('half');
  });
});

function softmax(logits: readonly number[]): number[] {
  const largest = Math.max(...logits);
  const shares = logits.map((logit) => Math.exp(logit - largest));
  const sum = shares.reduce((total, share) => total + share, 0);
  return shares.map((share) => share / sum);
}
