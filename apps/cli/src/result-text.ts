import type { ResultRow } from './longhaul-client.js';
import { oneLine, wrapped } from './plain-text.js';

/** Results for people: documents, their questions, the answers below, from JSONL rows. */
export async function* resultText(jsonl: AsyncIterable<Uint8Array>, width: number): AsyncGenerator<string> {
  let document: string | null | undefined;
  for await (const line of linesOf(jsonl)) {
    const row = JSON.parse(line) as ResultRow;
    if (row.document !== null && row.document !== document) {
      yield `${document === undefined ? '' : '\n'}${oneLine(row.document)}\n`;
    }
    document = row.document;
    yield `${wrapped(row.question ?? row.custom_id ?? '(a line that could not be read)', width, '  ').join('\n')}\n`;
    const answer = row.error === null ? (row.answer ?? '') : `failed: ${row.error}`;
    yield `${wrapped(answer, width, '    ').join('\n')}\n`;
  }
}

/** Lines end at line feeds only: an answer may hold any other character that ends one. */
async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    yield* lines;
  }
  if (rest !== '') yield rest;
}
