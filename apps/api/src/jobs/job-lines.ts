import { ApiError, type BatchEndpoint, parseChatCompletion } from '@app/batches';
import type { JobPair, JobQuestion } from './job-parts.js';

/** A document of a job that is a file by now. */
export interface FiledDocument {
  readonly id: string;
  readonly fileId: string;
}

/** What is the same for all items of a job. */
export interface JobBody {
  readonly model: string;
  readonly system?: string | null | undefined;
  readonly options?: Record<string, unknown> | null | undefined;
}

/** What the items of a job are answered by. */
export const JOB_ENDPOINT: BatchEndpoint = '/v1/chat/completions';
/** Fields that the job gives by other names. */
const OWN: readonly string[] = ['messages', 'model', 'compression'];

/**
 * Checks what every item will ask with, on one of them.
 * @throws ApiError (400) with `param` as a field of the job
 */
export function checkOptions(job: JobBody): void {
  const taken = OWN.find((name) => Object.hasOwn(job.options ?? {}, name));
  if (taken !== undefined) {
    const param = `options.${taken}`;
    throw ApiError.invalid(`Invalid '${param}': the job itself says it.`, param, 'invalid_value');
  }
  try {
    parseChatCompletion(bodyOf({ id: '', fileId: 'file-any' }, { id: '', text: 'any' }, job));
  } catch (error) {
    if (!(error instanceof ApiError) || error.param === null) throw error;
    const param = `options.${error.param}`;
    throw new ApiError(
      error.status,
      error.type,
      error.message.replaceAll(`'${error.param}'`, `'${param}'`).replace(/(?<=argument supplied: ).*/, param),
      param,
      error.code,
    );
  }
}

/** The lines of the batch file that a job becomes, one for each pair. */
export function* jobLines(
  documents: readonly FiledDocument[],
  questions: readonly JobQuestion[],
  pairs: readonly JobPair[],
  job: JobBody,
): Generator<string> {
  for (const [d, q] of pairs) {
    const document = documents[d]!;
    const question = questions[q]!;
    const line = {
      custom_id: `${document.id}#${question.id}`,
      method: 'POST',
      url: JOB_ENDPOINT,
      body: bodyOf(document, question, job),
    };
    yield `${JSON.stringify(line)}\n`;
  }
}

function bodyOf({ fileId }: FiledDocument, { text }: JobQuestion, { model, system, options }: JobBody): object {
  const content = [
    { type: 'file', file: { file_id: fileId } },
    { type: 'text', text },
  ];
  const told = typeof system === 'string' ? [{ role: 'system', content: system }] : [];
  return { model, ...options, messages: [...told, { role: 'user', content }] };
}
