import { type Box, curve, frame, INK, legendEntry, line, svg, text, x, yOf } from '../panel-plot.js';
import { type Axis, linearAxis, logAxis } from './plot-axes.js';
import { styleOf } from './plot-styles.js';
import type { QualityMode } from './prompts.js';
import type { SummaryDataset, SummaryRow } from './summary.js';

const WIDTH = 1070;
const HEIGHT = 440;
const PANEL = { width: 340, height: 300, top: 70 };
const LEFT_EDGES = [70, 500] as const;
const LEGEND = { left: 880, top: 80, row: 22 };

/**
 * Score and mean KL over the share of bytes kept, one line a policy, side by side, as a self-contained SVG on white. The
 * full cache's score is a dashed line; KL is on a logarithmic axis.
 * @param summary rows of other modes and datasets are left out
 */
export function qualityPlot(
  summary: readonly SummaryRow[],
  { mode, dataset = 'all' }: { readonly mode: QualityMode; readonly dataset?: SummaryDataset },
): string {
  const shown = summary.filter((row) => row.mode === mode && row.dataset === dataset);
  const full = shown.find((row) => row.policy === 'full');
  const compressed = shown.filter((row) => row.policy !== 'full');
  const policies = [...new Set(compressed.map((row) => row.policy))].map((policy, index) => ({
    style: { ...styleOf(policy, index), policy },
    rows: compressed.filter((row) => row.policy === policy).sort((a, b) => a.bytes_share - b.bytes_share),
  }));
  const points = policies.flatMap(({ rows }) => rows);
  const kept = linearAxis(Math.max(0.1, ...points.map((row) => 100 * row.bytes_share)));
  const scores = linearAxis(Math.max(1, 100 * (full?.score ?? 0), ...points.map((row) => 100 * row.score)));
  const divergences = logAxis(points.map((row) => row.kl_mean));
  const n = Math.max(0, ...shown.map((row) => row.n));

  const panels = [
    { label: 'score, 0 to 100', y: scores, figure: (row: SummaryRow) => 100 * row.score },
    { label: 'mean KL from the full cache, nats', y: divergences, figure: (row: SummaryRow) => row.kl_mean },
  ].map(({ label, y, figure }, i) => {
    const box = { left: LEFT_EDGES[i]!, ...PANEL };
    const curves = policies.map(({ style, rows }) => {
      const at = rows.map((row) => [x(box, kept, 100 * row.bytes_share), yOf(box, y, figure(row))] as const);
      return curve(at, style);
    });
    const reference = i === 0 && full !== undefined ? fullLine(box, y, 100 * full.score) : '';
    // the first policy is drawn last, on top of the others
    return (
      frame(box, kept, y, { across: 'bytes kept, % of the full cache', up: label }) +
      reference +
      curves.reverse().join('')
    );
  });
  const title = `Question ${mode === 'prompt' ? 'part of the compressed prompt' : mode}, ${datasetTitle(dataset)}, n = ${n} a point`;
  return svg({ width: WIDTH, height: HEIGHT }, title, [
    text(LEFT_EDGES[0], 34, title, 'start', 'font-size="16" font-weight="bold"'),
    ...panels,
    legend(
      policies.map(({ style }) => style),
      full !== undefined,
    ),
  ]);
}

type Style = ReturnType<typeof styleOf> & { readonly policy: string };

const datasetTitle = (dataset: SummaryDataset): string => (dataset === 'all' ? 'all data' : `${dataset} data`);

function fullLine(box: Box, axis: Axis, score: number): string {
  const y = yOf(box, axis, score);
  return line(box.left, y, box.left + box.width, y, INK, 'stroke-dasharray="5 4"');
}

function legend(styles: readonly Style[], withFull: boolean): string {
  const entries = styles.map((style, i) => legendEntry(LEGEND.left, LEGEND.top + i * LEGEND.row, style.policy, style));
  const y = LEGEND.top + styles.length * LEGEND.row;
  const full = line(LEGEND.left, y, LEGEND.left + 28, y, INK, 'stroke-dasharray="5 4"');
  return [...entries, withFull ? full + text(LEGEND.left + 38, y + 4.5, 'full cache (KL 0)', 'start') : ''].join('\n');
}
