import { describe, expect, test } from 'vitest';
import { qualityPlot } from './plot.js';
import { linearAxis, logAxis } from './plot-axes.js';
import { styleOf } from './plot-styles.js';
import type { SummaryRow } from './summary.js';

const row = (policy: string, budget: number, score: number, kl: number): SummaryRow => ({
  policy,
  budget,
  mode: 'seen',
  dataset: 'all',
  n: 12,
  score,
  score_ratio: score / 0.4,
  kl_mean: kl,
  kl_median: kl,
  agreement: 0.9,
  bytes_share: budget,
  compress_share_of_prefill: 0.01,
});
const summary = [
  row('full', 1, 0.4, 0),
  row('calibrated-merge', 0.5, 0.4, 0.01),
  row('calibrated-merge', 0.1, 0.3, 0.1),
  row('<other> & co', 0.5, 0.2, 0.1),
];

describe('quality plot', () => {
  const svg = qualityPlot(summary, { mode: 'seen' });
  const lines = [...svg.matchAll(/<polyline points="([^"]+)"/g)].map((match) =>
    match[1]!.split(' ').map((point) => point.split(',').map(Number) as [number, number]),
  );

  test('draws one line a policy and panel, from few bytes to many', () => {
    expect(lines).toHaveLength(4);
    const ours = lines.filter((points) => points.length === 2);
    expect(ours).toHaveLength(2);
    for (const [few, many] of ours) expect(few![0]).toBeLessThan(many![0]);
    // a better score and a larger KL are further up, and y grows downwards
    expect(ours[0]![1]![1]).toBeLessThan(ours[0]![0]![1]);
    expect(ours[1]![1]![1]).toBeGreaterThan(ours[1]![0]![1]);
  });

  test('stays inside its frame, names its axes and policies, and is well-formed', () => {
    for (const [x, y] of lines.flat()) {
      expect(x).toBeGreaterThan(0);
      expect(x).toBeLessThan(850);
      expect(y).toBeGreaterThanOrEqual(70);
      expect(y).toBeLessThanOrEqual(370);
    }
    for (const words of [
      'calibrated-merge',
      '&lt;other&gt; &amp; co',
      'full cache',
      'bytes kept',
      'score',
      'mean KL',
      'n = 12',
    ]) {
      expect(svg).toContain(words);
    }
    expect(svg).not.toContain('NaN');
    expect(svg).not.toContain('<other>');
    const opened = svg.match(/<[a-z]+[^>]*[^/]>/g)!.length;
    expect(svg.match(/<\/[a-z]+>/g)!.length).toBe(opened);
  });

  test('takes only the mode and dataset asked for, and draws even nothing', () => {
    expect(qualityPlot(summary, { mode: 'unseen' })).not.toContain('<polyline');
    expect(qualityPlot(summary, { mode: 'seen', dataset: 'multihop' })).not.toContain('<polyline');
    expect(qualityPlot([], { mode: 'seen' })).not.toContain('NaN');
  });
});

describe('axes', () => {
  test('of numbers start at 0 and end at a round one', () => {
    expect(linearAxis(42).ticks.map(({ label }) => label)).toEqual(['0', '10', '20', '30', '40', '50']);
    expect(linearAxis(0.5).ticks.map(({ label }) => label)).toEqual(['0.0', '0.1', '0.2', '0.3', '0.4', '0.5']);
    expect(linearAxis(42).position(25)).toBe(0.5);
    expect(linearAxis(42).position(70)).toBe(1);
  });

  test('of powers of ten hold all positive values', () => {
    const axis = logAxis([0.02, 0.5, 0]);
    expect(axis.ticks.map(({ label }) => label)).toEqual(['0.01', '0.1', '1']);
    expect(axis.position(0.1)).toBeCloseTo(0.5);
    expect(axis.position(0)).toBe(0);
    expect(logAxis([0.1]).ticks).toHaveLength(2);
    expect(logAxis([]).ticks.length).toBeGreaterThan(1);
  });
});

test('policies can be told apart', () => {
  const policies = [
    'calibrated-merge',
    'calibrated-evict',
    'duo-attention',
    'kvmerger',
    'd2o',
    'cam',
    'h2o',
    'snapkv',
    'tova',
    'pyramidkv',
    'streaming-llm',
  ];
  const styles = policies.map((policy, i) => styleOf(policy, i));
  expect(new Set(styles.map(({ colour }) => colour)).size).toBe(policies.length);
  expect(styles.filter(({ heavy }) => heavy)).toHaveLength(1);
  expect(styleOf('a new one', 0).colour).not.toBe(styleOf('another', 1).colour);
});
