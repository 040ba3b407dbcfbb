import { type JobRow, ROW_FIELDS } from './job-rows.js';

type Rows = AsyncIterable<JobRow>;

/** How results are given: the content type, and the pieces of the text. */
export const ROW_FORMATS = {
  jsonl: { type: 'application/jsonl; charset=utf-8', write: asJsonLines },
  json: { type: 'application/json; charset=utf-8', write: asJson },
  csv: { type: 'text/csv; charset=utf-8; header=present', write: asCsv },
} as const;
export type RowFormat = keyof typeof ROW_FORMATS;

async function* asJsonLines(rows: Rows): AsyncGenerator<string> {
  for await (const row of rows) yield `${JSON.stringify(row)}\n`;
}

async function* asJson(rows: Rows): AsyncGenerator<string> {
  let before = '[\n';
  for await (const row of rows) {
    yield `${before}${JSON.stringify(row)}`;
    before = ',\n';
  }
  yield before === '[\n' ? '[]\n' : '\n]\n';
}

/** RFC 4180. */
async function* asCsv(rows: Rows): AsyncGenerator<string> {
  yield `${ROW_FIELDS.join(',')}\r\n`;
  for await (const row of rows) yield `${ROW_FIELDS.map((field) => cell(row[field])).join(',')}\r\n`;
}

function cell(value: string | number | null): string {
  const text = String(value ?? '');
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}
