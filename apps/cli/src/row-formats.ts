import { oneLine, wrapped } from './plain-text.js';
import { type ResultRow, ROW_FIELDS } from './result-rows.js';

type Rows = AsyncIterable<ResultRow>;

/** What `longhaul results` can write of rows; the pieces of a text. */
export const ROW_FORMATS = { text: asText, jsonl: asJsonLines, json: asJson, csv: asCsv } as const satisfies Record<
  string,
  (rows: Rows, width: number) => AsyncIterable<string>
>;

/** For people: documents, their questions, the answers below. */
async function* asText(rows: Rows, width: number): AsyncGenerator<string> {
  let document: string | null | undefined;
  for await (const row of rows) {
    if (row.document !== null && row.document !== document) {
      yield `${document === undefined ? '' : '\n'}${oneLine(row.document)}\n`;
    }
    document = row.document;
    yield `${wrapped(row.question ?? row.custom_id ?? '(a line that could not be read)', width, '  ').join('\n')}\n`;
    const answer = row.error === null ? (row.answer ?? '') : `failed: ${row.error}`;
    yield `${wrapped(answer, width, '    ').join('\n')}\n`;
  }
}

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
