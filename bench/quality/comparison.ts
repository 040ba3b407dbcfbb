import { mean } from '../averages.js';
import type { QualityRow } from './rows.js';
import { type BootstrapOptions, type Estimate, meanDifference, meanRatio, pairedBootstrap } from './statistics.js';
import { groupRows, type PairedGroup, type SummaryRow } from './summary.js';

/** One policy beside another on the same samples, with bootstrap intervals. */
export interface Comparison extends Pick<SummaryRow, 'policy' | 'budget' | 'mode' | 'dataset'> {
  readonly against: string;
  readonly n: number;
  /** Mean score of `policy` minus that of `against`. */
  readonly score_difference: Estimate;
  /** Mean KL of `policy` minus that of `against`: below 0 where `policy` is nearer to the full cache. */
  readonly kl_difference: Estimate;
}

/** Share of the full cache's score that a policy keeps, with its interval; undefined where the full cache scores 0. */
export interface KeptScore extends Pick<SummaryRow, 'policy' | 'budget' | 'mode' | 'dataset'> {
  readonly n: number;
  readonly score_ratio: Estimate | undefined;
}

/** {@link KeptScore} of every policy but `full`, in the order of the summary. */
export function keptScores(rows: readonly QualityRow[], options: BootstrapOptions = {}): KeptScore[] {
  return groupRows(rows)
    .filter(({ policy }) => policy !== 'full')
    .map(({ policy, budget, mode, dataset, rows: group, full }) => {
      const [scores, fullScores] = [group.map(({ score }) => score), full.map(({ score }) => score)];
      const score_ratio = mean(fullScores) === 0 ? undefined : pairedBootstrap(scores, fullScores, meanRatio, options);
      return { policy, budget, mode, dataset, n: group.length, score_ratio };
    });
}

/** `policy` beside every other policy of the same budget, mode and dataset (`full` left out), on the samples both have. */
export function comparePolicy(
  rows: readonly QualityRow[],
  policy: string,
  options: BootstrapOptions = {},
): Comparison[] {
  const groups = groupRows(rows);
  return groups
    .filter((group) => group.policy === policy)
    .flatMap((own) =>
      groups
        .filter((other) => other.policy !== policy && other.policy !== 'full' && sameTerms(own, other))
        .flatMap((other) => compareGroups(own, other, options)),
    );
}

const sameTerms = (a: PairedGroup, b: PairedGroup): boolean =>
  a.budget === b.budget && a.mode === b.mode && a.dataset === b.dataset;

function compareGroups(own: PairedGroup, other: PairedGroup, options: BootstrapOptions): Comparison[] {
  const others = new Map(other.rows.map((row) => [row.id, row]));
  const pairs = own.rows.flatMap((row) => {
    const match = others.get(row.id);
    return match === undefined ? [] : [[row, match] as const];
  });
  if (pairs.length === 0) return [];
  const difference = (figure: (row: QualityRow) => number): Estimate =>
    pairedBootstrap(
      pairs.map(([row]) => figure(row)),
      pairs.map(([, row]) => figure(row)),
      meanDifference,
      options,
    );
  const { policy, budget, mode, dataset } = own;
  return [
    {
      policy,
      against: other.policy,
      budget,
      mode,
      dataset,
      n: pairs.length,
      score_difference: difference(({ score }) => score),
      kl_difference: difference(({ kl }) => kl),
    },
  ];
}
