import { mean, median } from '../averages.js';
import { FAMILIES, type Family } from './datasets.js';
import type { QualityMode } from './prompts.js';
import type { QualityRow } from './rows.js';

/** All families together, or one. */
export type SummaryDataset = 'all' | Family;

/** Means of one policy's rows. */
export interface SummaryRow {
  readonly policy: string;
  readonly budget: number;
  readonly mode: QualityMode;
  readonly dataset: SummaryDataset;
  readonly n: number;
  readonly score: number;
  /** Score over the full cache's on the same samples; null where that one is 0. */
  readonly score_ratio: number | null;
  readonly kl_mean: number;
  readonly kl_median: number;
  readonly agreement: number;
  readonly bytes_share: number;
  readonly compress_share_of_prefill: number;
}

/** Rows without a full-cache row of the same sample and mode to compare with. */
export class MissingFullRowError extends Error {
  override readonly name = 'MissingFullRowError';
}

/** Rows of one policy, budget, mode and dataset with the full cache's rows of the same samples, in the same order. */
export interface PairedGroup extends Pick<SummaryRow, 'policy' | 'budget' | 'mode' | 'dataset'> {
  readonly rows: readonly QualityRow[];
  readonly full: readonly QualityRow[];
}

/**
 * One entry a policy, budget and mode over all rows, then one for each of the data families among them, in the order in
 * which policies, budgets and modes first occur. `full` must have a row (budget 1) for every sample and mode.
 * @throws MissingFullRowError
 */
export function summarise(rows: readonly QualityRow[]): SummaryRow[] {
  return groupRows(rows).map(({ policy, budget, mode, dataset, rows: group, full }) => {
    const of = (figure: (row: QualityRow) => number): number[] => group.map(figure);
    const score = mean(of((row) => row.score));
    const fullScore = mean(full.map((row) => row.score));
    return {
      policy,
      budget,
      mode,
      dataset,
      n: group.length,
      score,
      score_ratio: fullScore === 0 ? null : score / fullScore,
      kl_mean: mean(of((row) => row.kl)),
      kl_median: median(of((row) => row.kl)),
      agreement: mean(of((row) => row.agreement)),
      bytes_share: mean(of((row) => row.bytes_share)),
      compress_share_of_prefill: mean(of((row) => row.compress_share_of_prefill)),
    };
  });
}

/** The groups of {@link summarise}. */
export function groupRows(rows: readonly QualityRow[]): PairedGroup[] {
  const full = new Map(rows.filter((row) => row.policy === 'full').map((row) => [`${row.mode} ${row.id}`, row]));
  const groups = new Map<string, QualityRow[]>();
  for (const row of rows) {
    const key = JSON.stringify([row.policy, row.budget, row.mode]);
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [row]);
    else group.push(row);
  }
  return [...groups.values()].flatMap((group) => {
    const families = FAMILIES.filter((family) => group.some((row) => row.family === family));
    return (['all', ...families] as const).map((dataset) => {
      const chosen = dataset === 'all' ? group : group.filter((row) => row.family === dataset);
      const { policy, budget, mode } = group[0]!;
      return { policy, budget, mode, dataset, rows: chosen, full: chosen.map((row) => fullRow(full, row)) };
    });
  });
}

function fullRow(full: ReadonlyMap<string, QualityRow>, row: QualityRow): QualityRow {
  const found = full.get(`${row.mode} ${row.id}`);
  if (found !== undefined) return found;
  throw new MissingFullRowError(
    `A row of policy full is expected for sample ${row.id} in mode ${row.mode}, found none: let the bench run ` +
      'without --json of an earlier, different run.',
  );
}
