import { CliError } from './cli-error.js';
import { type Batch, type LonghaulClient, ServiceError } from './longhaul-client.js';

/** One answer, or what there is instead of one. */
export interface ResultRow {
  readonly custom_id: string | null;
  /** File name of the document that was asked about. */
  readonly document: string | null;
  readonly question: string | null;
  /** 0-based; more than one where the request asked for `n` answers. */
  readonly choice: number;
  readonly answer: string | null;
  readonly finish_reason: string | null;
  readonly prompt_tokens: number | null;
  readonly completion_tokens: number | null;
  readonly error: string | null;
}

export const ROW_FIELDS = [
  'custom_id',
  'document',
  'question',
  'choice',
  'answer',
  'finish_reason',
  'prompt_tokens',
  'completion_tokens',
  'error',
] as const satisfies readonly (keyof ResultRow)[];

/** What a request asked, as far as it can be told apart: its file and its last text. */
interface Asked {
  readonly fileId: string | null;
  readonly question: string | null;
}

/** The lines of a batch's output file and then of its error file, as the service wrote them. */
export async function* resultLines(client: LonghaulClient, batch: Batch): AsyncGenerator<string> {
  for (const id of [batch.output_file_id, batch.error_file_id]) {
    if (id !== null) yield* linesOf(await client.content(id));
  }
}

/** A batch's answers with what was asked, which comes from its input file; without it where that has been deleted. */
export async function* resultRows(client: LonghaulClient, batch: Batch): AsyncGenerator<ResultRow> {
  const asked = await askedIn(client, batch.input_file_id);
  const names = new Map<string, string>();
  for await (const line of resultLines(client, batch)) {
    const { fileId = null, question = null } = asked.get(customIdOf(line) ?? '') ?? {};
    if (fileId !== null && !names.has(fileId)) names.set(fileId, await nameOf(client, fileId));
    yield* rowsOf(line, { document: fileId === null ? null : names.get(fileId)!, question });
  }
}

/** Rows of one line of an output or error file. */
export function rowsOf(line: string, asked: Pick<ResultRow, 'document' | 'question'>): ResultRow[] {
  // biome-ignore lint/suspicious/noExplicitAny: bodies of answers and of errors
  const { custom_id, response, error } = JSON.parse(line) as { custom_id: string | null; response: any; error: any };
  const { choices, usage, error: refusal } = response?.body ?? {};
  const nothing = { answer: null, finish_reason: null, prompt_tokens: null, completion_tokens: null };
  if (!choices) {
    const message: string = (refusal ?? error)?.message ?? `status ${response?.status_code}`;
    return [{ custom_id, ...asked, choice: 0, ...nothing, error: message }];
  }
  return (choices as { index: number; message: { content: string | null }; finish_reason: string }[]).map(
    ({ index, message, finish_reason }) => ({
      custom_id,
      ...asked,
      choice: index,
      answer: message.content,
      finish_reason,
      // Counted once for all choices of a request.
      prompt_tokens: index === 0 ? (usage?.prompt_tokens ?? null) : null,
      completion_tokens: index === 0 ? (usage?.completion_tokens ?? null) : null,
      error: null,
    }),
  );
}

/** What a line of a batch file asks, where its last message has a file and a text of its own. */
export function askedBy(line: string): { customId: string; asked: Asked } | undefined {
  try {
    const { custom_id, body } = JSON.parse(line);
    const content = body.messages.at(-1).content;
    if (typeof custom_id !== 'string' || !Array.isArray(content)) return undefined;
    const file = content.find((part) => part?.type === 'file')?.file;
    const text = content.findLast((part) => part?.type === 'text')?.text;
    if (!file) return undefined;
    return { customId: custom_id, asked: { fileId: file.file_id ?? null, question: text ?? null } };
  } catch {
    return undefined; // no request: its result says so
  }
}

async function askedIn(client: LonghaulClient, inputFileId: string): Promise<Map<string, Asked>> {
  const asked = new Map<string, Asked>();
  const content = await client.content(inputFileId).catch(ifGone);
  if (!content) return asked;
  for await (const line of linesOf(content)) {
    const found = askedBy(line);
    if (found) asked.set(found.customId, found.asked);
  }
  return asked;
}

const nameOf = async (client: LonghaulClient, id: string): Promise<string> =>
  (await client.file(id).catch(ifGone))?.filename ?? id;

function ifGone(error: unknown): undefined {
  if (error instanceof ServiceError) return undefined;
  throw error;
}

function customIdOf(line: string): string | null {
  try {
    return (JSON.parse(line) as { custom_id: string | null }).custom_id;
  } catch {
    throw new CliError('A line of the results is not JSON: it did not arrive whole. Try again.');
  }
}

/** Lines end at line feeds only: an answer may hold any other character that ends one. */
async function* linesOf(bytes: AsyncIterable<Uint8Array>): AsyncGenerator<string> {
  const decoder = new TextDecoder();
  let rest = '';
  for await (const chunk of bytes) {
    const lines = (rest + decoder.decode(chunk, { stream: true })).split('\n');
    rest = lines.pop()!;
    for (const line of lines) if (line.trim() !== '') yield line;
  }
  rest += decoder.decode();
  if (rest.trim() !== '') yield rest;
}
