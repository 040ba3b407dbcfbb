import { describe, expect, test } from 'vitest';
import { comparePolicy, keptScores } from './comparison.js';
import { type QualityRow, rowKey } from './rows.js';
import { MissingFullRowError, summarise } from './summary.js';
import { comparisonTable, summaryTable } from './tables.js';

const base: QualityRow = {
  policy: 'full',
  budget: 1,
  mode: 'seen',
  family: 'retrieval',
  dataset: 'vt',
  id: 'a',
  score: 1,
  kl: 0,
  agreement: 1,
  bytes_share: 1,
  compress_share_of_prefill: 0,
  prefill_ratio: 1,
  reading_bytes_share: 1,
};
const full: QualityRow[] = [
  base,
  { ...base, id: 'b', score: 0.5 },
  { ...base, id: 'c', family: 'multihop', dataset: 'hotpotqa_distractor', score: 0 },
];
const policy = (name: string, scores: number[], kls: number[], budget = 0.35): QualityRow[] =>
  full.map((row, i) => ({
    ...row,
    policy: name,
    budget,
    score: scores[i]!,
    kl: kls[i]!,
    agreement: 0.75,
    bytes_share: budget,
    compress_share_of_prefill: 0.02,
  }));
const rows = [
  ...full,
  ...policy('ours', [1, 0.4, 0], [0.01, 0.02, 0.06]),
  ...policy('h2o', [0.5, 0.1, 0], [0.1, 0.2, 0.3]),
];

describe('summary', () => {
  test('has one entry a policy, budget and mode over all data, then one a family', () => {
    const summary = summarise(rows);
    expect(summary.map(({ policy, budget, dataset, n }) => [policy, budget, dataset, n])).toEqual([
      ['full', 1, 'all', 3],
      ['full', 1, 'retrieval', 2],
      ['full', 1, 'multihop', 1],
      ['ours', 0.35, 'all', 3],
      ['ours', 0.35, 'retrieval', 2],
      ['ours', 0.35, 'multihop', 1],
      ['h2o', 0.35, 'all', 3],
      ['h2o', 0.35, 'retrieval', 2],
      ['h2o', 0.35, 'multihop', 1],
    ]);
    expect(Object.keys(summary[3]!)).toEqual([
      'policy',
      'budget',
      'mode',
      'dataset',
      'n',
      'score',
      'score_ratio',
      'kl_mean',
      'kl_median',
      'agreement',
      'bytes_share',
      'compress_share_of_prefill',
    ]);
    expect(summary[3]!.score).toBeCloseTo(1.4 / 3);
    expect(summary[3]!.score_ratio).toBeCloseTo(1.4 / 1.5);
    expect(summary[3]!.kl_mean).toBeCloseTo(0.03);
    expect(summary[3]!.kl_median).toBe(0.02);
    expect(summary[3]!.agreement).toBeCloseTo(0.75);
    expect(summary[3]!.bytes_share).toBeCloseTo(0.35);
    expect(summary[3]!.compress_share_of_prefill).toBeCloseTo(0.02);
    // the full cache itself scores 0 there
    expect(summary[5]!.score_ratio).toBeNull();
  });

  test('compares with the full cache of the same samples and mode only', () => {
    const other = { ...base, id: 'z', mode: 'unseen' as const, score: 0.25 };
    const found = summarise([...full, other, { ...other, policy: 'ours', budget: 0.35, score: 0.2 }]);
    expect(found.find((row) => row.policy === 'ours')!.score_ratio).toBeCloseTo(0.8);
    expect(() => summarise([...full, { ...other, policy: 'ours', budget: 0.35 }])).toThrow(MissingFullRowError);
  });

  test('keys tell rows of different work apart', () => {
    expect(new Set(rows.map(rowKey)).size).toBe(rows.length);
    expect(rowKey({ ...base, mode: 'unseen' })).not.toBe(rowKey(base));
  });
});

describe('comparisons', () => {
  test('are paired by sample, against every other policy of the same budget', () => {
    const found = comparePolicy([...rows, ...policy('snapkv', [1, 1, 1], [1, 1, 1], 0.2)], 'ours');
    expect(found.map(({ against, dataset, n }) => [against, dataset, n])).toEqual([
      ['h2o', 'all', 3],
      ['h2o', 'retrieval', 2],
      ['h2o', 'multihop', 1],
    ]);
    expect(found[0]!.score_difference.value).toBeCloseTo(0.8 / 3);
    expect(found[0]!.kl_difference.value).toBeCloseTo(-0.17);
    expect(found[0]!.kl_difference.high).toBeLessThan(0);
  });

  test('leave out samples that only one policy has', () => {
    const part = rows.filter((row) => row.policy !== 'h2o' || row.id === 'b');
    expect(comparePolicy(part, 'ours').map(({ dataset, n }) => [dataset, n])).toEqual([
      ['all', 1],
      ['retrieval', 1],
    ]);
  });

  test('kept scores have an interval where the full cache scores', () => {
    const [all, , multihop] = keptScores(rows);
    expect(all!.score_ratio!.value).toBeCloseTo(1.4 / 1.5);
    expect(all!.score_ratio!.low).toBeLessThanOrEqual(all!.score_ratio!.value);
    expect(all!.score_ratio!.high).toBe(1);
    expect(multihop!.score_ratio).toBeUndefined();
  });
});

test('tables are Markdown, a row an entry', () => {
  const lines = summaryTable(summarise(rows), keptScores(rows)).trimEnd().split('\n');
  expect(lines).toHaveLength(11);
  expect(new Set(lines.map((line) => line.split('|').length)).size).toBe(1);
  expect(lines[2]).toMatch(/^\| full \| 100 % \| seen \| all \| 3 \| 50\.0 \| 100\.0 % \|/);
  expect(lines[5]).toMatch(
    /^\| ours \| 35 % \| seen \| all \| 3 \| 46\.7 \| 93\.3 % \(\d+\.\d to 100\.0\) \| 0\.0300 \| 0\.0200 \|/,
  );
  expect(lines[7]).toContain('full scores 0');
  const compared = comparisonTable(comparePolicy(rows, 'ours')).trimEnd().split('\n');
  expect(compared).toHaveLength(5);
  expect(compared[2]).toMatch(
    /\| ours \| h2o \| 35 % \| seen \| all \| 3 \| \+26\.7 \(0\.0 to \+50\.0\) \| -0\.1700 \(/,
  );
});
