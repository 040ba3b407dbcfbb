import type { Axis } from './quality/plot-axes.js';
import { markerPath, type PlotStyle } from './quality/plot-styles.js';

export const INK = '#222222';
const FAINT = '#d9d9d9';

/** Where a panel's axes lie, in pixels. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly width: number;
  readonly height: number;
}

export const x = (box: Box, axis: Axis, value: number): number => box.left + axis.position(value) * box.width;
export const yOf = (box: Box, axis: Axis, value: number): number => box.top + (1 - axis.position(value)) * box.height;
const fixed = (value: number): string => value.toFixed(1);

/** A self-contained SVG on white; the title is also what screen readers say. */
export function svg(size: { readonly width: number; readonly height: number }, title: string, parts: string[]): string {
  const { width, height } = size;
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" ` +
      `font-family="Helvetica, Arial, 'DejaVu Sans', sans-serif" font-size="13" fill="${INK}">`,
    `<title>${escapeXml(title)}</title>`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    ...parts,
    '</svg>\n',
  ].join('\n');
}

/** Axes of a panel: ticks, faint lines across, and what each axis means. */
export function frame(
  box: Box,
  across: Axis,
  up: Axis,
  labels: { readonly across: string; readonly up: string },
): string {
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
    text(box.left + box.width / 2, bottom + 44, labels.across, 'middle'),
    text(0, 0, labels.up, 'middle', `transform="translate(${box.left - 48} ${middle}) rotate(-90)"`),
  ].join('');
}

/** A line through points in pixels, with a marker at each. */
export function curve(points: readonly (readonly [number, number])[], { colour, marker, heavy }: PlotStyle): string {
  const path = points.map(([px, py]) => `${fixed(px)},${fixed(py)}`).join(' ');
  const markers = points.map(([px, py]) => mark(px, py, colour, marker)).join('');
  const width = heavy ? 3 : 1.5;
  return `<polyline points="${path}" fill="none" stroke="${colour}" stroke-width="${width}"/>${markers}\n`;
}

export function mark(px: number, py: number, colour: string, marker: PlotStyle['marker']): string {
  return `<path d="${markerPath(marker)}" transform="translate(${fixed(px)} ${fixed(py)})" fill="${colour}" stroke="#ffffff"/>`;
}

/** One line of a legend: the style and its name. */
export function legendEntry(left: number, y: number, name: string, { colour, marker, heavy }: PlotStyle): string {
  return (
    line(left, y, left + 28, y, colour, `stroke-width="${heavy ? 3 : 1.5}"`) +
    mark(left + 14, y, colour, marker) +
    text(left + 38, y + 4.5, name, 'start', heavy ? 'font-weight="bold"' : '')
  );
}

export function line(x1: number, y1: number, x2: number, y2: number, colour: string, more = ''): string {
  return `<line x1="${fixed(x1)}" y1="${fixed(y1)}" x2="${fixed(x2)}" y2="${fixed(y2)}" stroke="${colour}" ${more}/>`;
}

export function text(px: number, py: number, content: string, anchor: 'start' | 'middle' | 'end', more = ''): string {
  return `<text x="${fixed(px)}" y="${fixed(py)}" text-anchor="${anchor}" ${more}>${escapeXml(content)}</text>`;
}

const escapeXml = (content: string): string =>
  content.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;').replaceAll('"', '&quot;');
