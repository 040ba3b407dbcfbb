import { stripVTControlCharacters } from 'node:util';

/** Columns to print in. */
export const columns = (): number => Math.max(40, process.stdout.columns || 100);

/** Text on one line that cannot move a terminal's cursor or change its colours, whoever wrote it. */
export const oneLine = (text: string): string =>
  stripVTControlCharacters(text)
    .replace(/[\p{Cc}\s]+/gu, ' ')
    .trim();

/** Words of `text` in lines of at most `width` characters, each indented. A longer word has a line of its own. */
export function wrapped(text: string, width: number, indent: string): string[] {
  const lines: string[] = [];
  let line = indent;
  for (const word of oneLine(text).split(' ')) {
    if (line !== indent && line.length + 1 + word.length > width) {
      lines.push(line);
      line = indent;
    }
    line += line === indent ? word : ` ${word}`;
  }
  lines.push(line);
  return lines;
}

/**
 * Rows under their titles, each column as wide as its widest cell.
 * @param right titles of columns that end flush
 * @param width longest line; what is cut ends in `…`
 */
export function table(
  titles: readonly string[],
  rows: readonly (readonly string[])[],
  right: readonly string[] = [],
  width = process.stdout.isTTY ? columns() : Number.POSITIVE_INFINITY,
): string {
  const widths = titles.map((title, i) => Math.max(title.length, ...rows.map((row) => row[i]!.length)));
  const line = (row: readonly string[]): string =>
    row
      .map((cell, i) => (right.includes(titles[i]!) ? cell.padStart(widths[i]!) : cell.padEnd(widths[i]!)))
      .join('  ')
      .trimEnd();
  const cut = (text: string): string => (text.length > width ? `${text.slice(0, width - 1)}…` : text);
  return [titles, ...rows].map((row) => cut(line(row))).join('\n');
}

/** `2:07`, `1:02:07` */
export function clock(seconds: number): string {
  const whole = Math.round(seconds);
  const two = (value: number): string => String(value).padStart(2, '0');
  const minutes = Math.floor(whole / 60);
  const head = minutes < 60 ? String(minutes) : `${Math.floor(minutes / 60)}:${two(minutes % 60)}`;
  return `${head}:${two(whole % 60)}`;
}

const RECENT_MS = 12 * 3600 * 1000;
const MONTHS = ['Jan', 'Feb', 'Mar', 'Apr', 'May', 'Jun', 'Jul', 'Aug', 'Sep', 'Oct', 'Nov', 'Dec'];

/** `12:51` within the last 12 hours, `Nov 22` this year, else `2025-11-22`; local time. */
export function shortTime(unixSeconds: number, now = new Date()): string {
  const date = new Date(unixSeconds * 1000);
  const two = (value: number): string => String(value).padStart(2, '0');
  if (now.getTime() - date.getTime() < RECENT_MS) return `${two(date.getHours())}:${two(date.getMinutes())}`;
  if (date.getFullYear() === now.getFullYear()) return `${MONTHS[date.getMonth()]} ${date.getDate()}`;
  return `${date.getFullYear()}-${two(date.getMonth() + 1)}-${two(date.getDate())}`;
}
