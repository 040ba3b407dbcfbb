import { percent, table } from '../markdown-table.js';
import type { Comparison, KeptScore } from './comparison.js';
import type { Estimate } from './statistics.js';
import type { SummaryRow } from './summary.js';

const nats = (kl: number): string => kl.toFixed(4);

/** The summary as Markdown; with `kept` the kept score shows its interval. */
export function summaryTable(summary: readonly SummaryRow[], kept: readonly KeptScore[] = []): string {
  const intervals = new Map(kept.map((entry) => [terms(entry), entry.score_ratio]));
  return table(
    [
      'policy',
      'budget',
      'mode',
      'dataset',
      'n',
      'score',
      'of full',
      'mean KL',
      'median KL',
      'same token',
      'bytes',
      'compression / prefill',
    ],
    summary.map((row) => [
      row.policy,
      percent(row.budget, 0),
      row.mode,
      row.dataset,
      String(row.n),
      (100 * row.score).toFixed(1),
      keptCell(row, intervals.get(terms(row))),
      nats(row.kl_mean),
      nats(row.kl_median),
      percent(row.agreement),
      percent(row.bytes_share),
      percent(row.compress_share_of_prefill),
    ]),
  );
}

/** Paired differences as Markdown, scores in points of 100. */
export function comparisonTable(comparisons: readonly Comparison[]): string {
  return table(
    ['policy', 'against', 'budget', 'mode', 'dataset', 'n', 'score, points', 'mean KL'],
    comparisons.map((row) => [
      row.policy,
      row.against,
      percent(row.budget, 0),
      row.mode,
      row.dataset,
      String(row.n),
      signedInterval(row.score_difference, (value) => (100 * value).toFixed(1)),
      signedInterval(row.kl_difference, nats),
    ]),
  );
}

const terms = ({ policy, budget, mode, dataset }: Pick<SummaryRow, 'policy' | 'budget' | 'mode' | 'dataset'>): string =>
  JSON.stringify([policy, budget, mode, dataset]);

function keptCell({ score_ratio }: SummaryRow, interval: Estimate | undefined): string {
  if (score_ratio === null) return 'full scores 0';
  const kept = percent(score_ratio);
  return interval === undefined
    ? kept
    : `${kept} (${(100 * interval.low).toFixed(1)} to ${(100 * interval.high).toFixed(1)})`;
}

function signedInterval({ value, low, high }: Estimate, write: (value: number) => string): string {
  const signed = (figure: number): string => (figure > 0 ? `+${write(figure)}` : write(figure));
  return `${signed(value)} (${signed(low)} to ${signed(high)})`;
}
