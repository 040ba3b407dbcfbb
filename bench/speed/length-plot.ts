import { median } from '../averages.js';
import { type Box, curve, frame, legendEntry, svg, text, x, yOf } from '../panel-plot.js';
import { linearAxis } from '../quality/plot-axes.js';
import type { PlotStyle } from '../quality/plot-styles.js';
import { best, type Measurement } from './measurement.js';

const SIZE = { width: 1200, height: 440 };
const PANEL = { width: 340, height: 300, top: 70 };
const LEGEND = { left: 880, top: 80, row: 22 };
const PANELS = [
  { section: 'prefill', left: 70, across: 'tokens of the document', up: 'prefill, ms a token' },
  { section: 'decode', left: 500, across: 'tokens of the prefix', up: 'decode of one item, ms a token' },
] as const;

const PEER = 'node-llama-cpp, its best';
const STYLES: readonly (readonly [colour: string, marker: PlotStyle['marker']])[] = [
  ['#c1272d', 'circle'],
  ['#e07b00', 'square'],
  ['#7b3294', 'triangle'],
  ['#008176', 'diamond'],
  ['#2b6cb0', 'circle'],
  ['#8a6d1b', 'square'],
];
const PEER_STYLE: PlotStyle = { colour: '#222222', marker: 'pentagon', heavy: false };

interface Line {
  readonly name: string;
  /** Tokens and milliseconds a token, by tokens. */
  readonly points: readonly (readonly [tokens: number, ms: number])[];
}

/** Milliseconds a token over the length, reading beside decoding, ours and the peer's best at each length; as SVG. */
export function lengthPlot(measurements: readonly Measurement[]): string {
  const panels = PANELS.map((panel) => ({ ...panel, lines: linesOf(measurements, panel.section) }));
  const names = [...new Set(panels.flatMap(({ lines }) => lines.map(({ name }) => name)))];
  const ours = names.filter((name) => name !== PEER);
  const styleOf = (name: string): PlotStyle => {
    const [colour, marker] = STYLES[ours.indexOf(name) % STYLES.length] ?? STYLES[0]!;
    return name === PEER ? PEER_STYLE : { colour, marker, heavy: true };
  };
  const title = 'Cost against length';
  return svg(SIZE, title, [
    text(PANELS[0].left, 34, title, 'start', 'font-size="16" font-weight="bold"'),
    ...panels.map(({ left, across, up, lines }) => {
      const box: Box = { left, ...PANEL };
      const points = lines.flatMap((line) => line.points);
      const [xAxis, yAxis] = [axis(points.map(([tokens]) => tokens)), axis(points.map(([, ms]) => ms))];
      const curves = lines.map(({ name, points: own }) =>
        curve(
          own.map(([tokens, ms]) => [x(box, xAxis, tokens), yOf(box, yAxis, ms)]),
          styleOf(name),
        ),
      );
      return frame(box, xAxis, yAxis, { across, up }) + curves.join('');
    }),
    ...names.map((name, i) => legendEntry(LEGEND.left, LEGEND.top + i * LEGEND.row, name, styleOf(name))),
  ]);
}

const axis = (values: readonly number[]) => linearAxis(Math.max(1, ...values));

function linesOf(measurements: readonly Measurement[], section: Measurement['section']): Line[] {
  const rows = measurements.filter((row) => row.section === section && row.tokens !== undefined);
  const lengths = [...new Set(rows.map((row) => row.tokens!))].sort((a, b) => a - b);
  const ours = rows.filter(({ side }) => side === 'longhaul');
  const line = (name: string, pick: (tokens: number) => Measurement | undefined): Line => ({
    name,
    points: lengths.flatMap((tokens) => {
      const found = pick(tokens);
      return found === undefined ? [] : [[tokens, 1000 * median(found.values)] as const];
    }),
  });
  const lines = [...new Set(ours.map(({ variant }) => variant))].map((variant) =>
    line(`Longhaul, ${variant}`, (tokens) => ours.find((row) => row.variant === variant && row.tokens === tokens)),
  );
  const peer = line(PEER, (tokens) => best(rows.filter((row) => row.side === 'peer' && row.tokens === tokens)));
  return peer.points.length === 0 ? lines : [...lines, peer];
}
