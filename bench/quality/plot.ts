import { type Axis, linearAxis, logAxis } from './plot-axes.js';
import { markerPath, styleOf } from './plot-styles.js';
import type { QualityMode } from './prompts.js';
import type { SummaryDataset, SummaryRow } from './summary.js';

const WIDTH = 1070;
const HEIGHT = 440;
const PANEL = { width: 340, height: 300, top: 70 };
const LEFT_EDGES = [70, 500] as const;
const LEGEND = { left: 880, top: 80, row: 22 };
const INK = '#222222';
const FAINT = '#d9d9d9';

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
    return frame(box, kept, y, label) + reference + curves.reverse().join('');
  });
  const title = `Question ${mode === 'prompt' ? 'part of the compressed prompt' : mode}, ${datasetTitle(dataset)}, n = ${n} a point`;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" ` +
      `font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="${INK}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(LEFT_EDGES[0], 34, title, 'start', 'font-size="16" font-weight="bold"'),
    ...panels,
    legend(
      policies.map(({ style }) => style),
      full !== undefined,
    ),
    '</svg>\n',
  ].join('\n');
}

type Box = { readonly left: number } & typeof PANEL;
type Style = ReturnType<typeof styleOf> & { readonly policy: string };

const x = (box: Box, axis: Axis, value: number): number => box.left + axis.position(value) * box.width;
const yOf = (box: Box, axis: Axis, value: number): number => box.top + (1 - axis.position(value)) * box.height;
const fixed = (value: number): string => value.toFixed(1);
const datasetTitle = (dataset: SummaryDataset): string => (dataset === 'all' ? 'all data' : `${dataset} data`);

function frame(box: Box, across: Axis, up: Axis, label: string): string {
  const bottom = box.top + box.height;
  const middle = box.top + box.height / 2;
  const rows = up.ticks.map(({ value, label: tick }) => {
    const y = yOf(box, up, value);
    return line(box.left, y, box.left + box.width, y, FAINT) + text(box.left - 8, y + 4.5, tick, 'end');
  });
  const columns = across.ticks.map(({ value, label: tick }) => {
    const at = x(box, across, value);
    return line(at, bottom, at, bottom + 5, INK) + text(at, bottom + 20, tick, 'middle');
  });
  return [
    ...rows,
    ...columns,
    line(box.left, bottom, box.left + box.width, bottom, INK),
    line(box.left, box.top, box.left, bottom, INK),
    text(box.left + box.width / 2, bottom + 44, 'bytes kept, % of the full cache', 'middle'),
    text(0, 0, label, 'middle', `transform="translate(${box.left - 48} ${middle}) rotate(-90)"`),
  ].join('');
}

function curve(points: readonly (readonly [number, number])[], { colour, marker, heavy }: Style): string {
  const path = points.map(([px, py]) => `${fixed(px)},${fixed(py)}`).join(' ');
  const markers = points.map(([px, py]) => mark(px, py, colour, marker)).join('');
  const width = heavy ? 3 : 1.5;
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${width}"/>${markers}\n`;
}

function mark(px: number, py: number, colour: string, marker: Style['marker']): string {
  return `<path d="${markerPath(marker)}" transform="translate(${fixed(px)} ${fixed(py)})" fill="${colour}" stroke="#ffffff"/>`;
}

function fullLine(box: Box, axis: Axis, score: number): string {
  const y = yOf(box, axis, score);
  return line(box.left, y, box.left + box.width, y, INK, 'stroke-dasharray="5 4"');
}

function legend(styles: readonly Style[], withFull: boolean): string {
  const entries = styles.map(({ policy, colour, marker, heavy }, i) => {
    const y = LEGEND.top + i * LEGEND.row;
    return (
      line(LEGEND.left, y, LEGEND.left + 28, y, colour, `stroke-width="${heavy ? 3 : 1.5}"`) +
      mark(LEGEND.left + 14, y, colour, marker) +
      text(LEGEND.left + 38, y + 4.5, policy, 'start', heavy ? 'font-weight="bold"' : '')
    );
  });
  const y = LEGEND.top + styles.length * LEGEND.row;
  const full = line(LEGEND.left, y, LEGEND.left + 28, y, INK, 'stroke-dasharray="5 4"');
  return [...entries, withFull ? full + text(LEGEND.left + 38, y + 4.5, 'full cache (KL 0)', 'start') : ''].join('\n');
}

function line(x1: number, y1: number, x2: number, y2: number, colour: string, more = ''): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${colour}" ${more}/>`;
}

function text(px: number, py: number, content: string, anchor: 'start' | 'middle' | 'end', more = ''): string {
  return `<text x="${fixed(px)}" y="${fixed(py)}" text-anchor="${anchor}" ${more}>${escapeXml(content)}</text>`;
}

const escapeXml = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
