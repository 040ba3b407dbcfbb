import { jsonLines } from './json-lines.js';
import type { ResultRow } from './longhaul-client.js';
import { oneLine, wrapped } from './plain-text.js';

/** Results for people: documents, their questions, the answers below, from JSONL rows. */
export async function* resultText(jsonl: AsyncIterable<Uint8Array>, width: number): AsyncGenerator<string> {
  let document: string | null | undefined;
  for await (const row of jsonLines<ResultRow>(jsonl)) {
    if (row.document !== null && row.document !== document) {
      yield `${document === undefined ? '' : '\n'}${oneLine(row.document)}\n`;
    }
    document = row.document;
    yield `${wrapped(row.question ?? row.custom_id ?? '(a line that could not be read)', width, '  ').join('\n')}\n`;
    const cut = row.finish_reason === 'length' ? ' …' : '';
    const answer = row.error === null ? `${row.answer ?? ''}${cut}` : `failed: ${row.error}`;
    yield `${wrapped(answer, width, '    ').join('\n')}\n`;
  }
}
