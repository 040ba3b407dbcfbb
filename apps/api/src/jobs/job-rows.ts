import type { PartAnswer } from '@app/batches';
import type { ItemResult } from '@app/results';

/** One answer, or what there is instead of one. */
export interface JobRow {
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
  /** Where the document was read in parts: the answer to each. Not in CSV. */
  readonly parts?: readonly PartAnswer[];
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
] as const satisfies readonly Exclude<keyof JobRow, 'parts'>[];

/** What an item asked. */
export type Asked = Pick<JobRow, 'document' | 'question'>;

/** The parts of an answer's body, and of an error's, that rows have. */
interface ResultBody {
  readonly choices?: readonly {
    readonly index: number;
    /** Of a chat. */
    readonly message?: { readonly content: string | null };
    /** Of a text completion. */
    readonly text?: string;
    readonly finish_reason: string;
  }[];
  readonly usage?: { readonly prompt_tokens: number; readonly completion_tokens: number };
  readonly parts?: readonly PartAnswer[];
  readonly error?: { readonly message: string };
}

/** A row for each answer of an item, or one that says why there is none. */
export function rowsOf({ custom_id, response, error }: ItemResult, asked: Asked): JobRow[] {
  const { choices, usage, parts, error: refusal } = (response?.body ?? {}) as ResultBody;
  const nothing = { answer: null, finish_reason: null, prompt_tokens: null, completion_tokens: null };
  if (!choices) {
    const message = refusal?.message ?? error?.message ?? `status ${response?.status_code}`;
    return [{ custom_id, ...asked, choice: 0, ...nothing, error: message }];
  }
  return choices.map(({ index, message, text, finish_reason }) => ({
    custom_id,
    ...asked,
    choice: index,
    answer: message?.content ?? text ?? null,
    finish_reason,
    // Once for all answers of a request.
    prompt_tokens: index === 0 ? (usage?.prompt_tokens ?? null) : null,
    completion_tokens: index === 0 ? (usage?.completion_tokens ?? null) : null,
    error: null,
    ...(index === 0 && parts && { parts }),
  }));
}

/** The file and the question of a batch line's body, where its last message has a file and a text of its own. */
export function askedBy(body: unknown): { fileId: string | null; question: string | null } {
  const content = (body as { messages?: { content?: unknown }[] } | null)?.messages?.at?.(-1)?.content;
  if (!Array.isArray(content)) return { fileId: null, question: null };
  const parts = content as ({ type?: string; text?: string; file?: { file_id?: string } } | null)[];
  const file = parts.find((part) => part?.type === 'file')?.file;
  if (!file) return { fileId: null, question: null };
  return { fileId: file.file_id ?? null, question: parts.findLast((part) => part?.type === 'text')?.text ?? null };
}
