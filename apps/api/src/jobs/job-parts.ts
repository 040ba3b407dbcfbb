import { ApiError } from '@app/batches';

/** A document of a job: a file, or its bytes in the request itself. */
export interface JobDocument {
  /** Unique in the job; the first part of the `custom_id` of its items. */
  readonly id: string;
  readonly source: { readonly fileId: string } | { readonly filename: string; readonly bytes: Buffer };
}

export interface JobQuestion {
  /** Unique in the job; the second part of `custom_id`. */
  readonly id: string;
  readonly text: string;
}

/** One question about one document, by their positions in the job's lists. */
export type JobPair = readonly [document: number, question: number];

/** Two of them and `#` fit the longest `custom_id`. */
const MAX_ID_LENGTH = 255;
const DATA_URL = /^data:[^,]{0,200};base64,/i;
const BASE64 = /^[A-Za-z0-9+/\s]*={0,2}\s*$/;

/**
 * Reads `documents`: ids of files, or objects with an optional `id` and one of `file_id`, `text` and `file_data` (base64,
 * with a `filename`).
 * @throws ApiError (400)
 */
export function parseDocuments(value: unknown): JobDocument[] {
  const documents = listOf(value, 'documents').map((entry, i) => parseDocument(entry, `documents[${i}]`, i + 1));
  return assertUnique(documents, 'documents');
}

/**
 * Reads `questions`: texts, or objects with `text` and an optional `id`; else a question's id is its number, from 1.
 * @throws ApiError (400)
 */
export function parseQuestions(value: unknown): JobQuestion[] {
  const questions = listOf(value, 'questions').map((entry, i) => {
    const param = `questions[${i}]`;
    if (typeof entry === 'string') return { id: String(i + 1), text: textOf(entry, param) };
    const fields = fieldsOf(entry, param, ['id', 'text'], 'a text, or an object with "text" and "id"');
    return { id: idOf(fields, param) ?? String(i + 1), text: textOf(fields['text'], `${param}.text`) };
  });
  // Else two items could have one custom_id.
  const divided = questions.findIndex(({ id }) => id.includes('#'));
  if (divided >= 0) throw invalid(`questions[${divided}].id`, "must be without '#'");
  return assertUnique(questions, 'questions');
}

/**
 * Reads `pairs`; absent, every question is asked of every document.
 * @throws ApiError (400) also where there is no such document or question, or a pair comes twice
 */
export function parsePairs(value: unknown, documents: number, questions: number): JobPair[] {
  if (value === undefined || value === null) {
    return Array.from({ length: documents * questions }, (_, i) => [Math.floor(i / questions), i % questions]);
  }
  const seen = new Set<string>();
  return listOf(value, 'pairs').map((entry, i) => {
    const param = `pairs[${i}]`;
    const [document, question] = Array.isArray(entry) && entry.length === 2 ? (entry as unknown[]) : [];
    if (!isPosition(document, documents) || !isPosition(question, questions)) {
      throw invalid(
        param,
        `must be [document, question], positions in the lists: from 0 to ${documents - 1} and from 0 to ${questions - 1}`,
      );
    }
    if (seen.has(`${document} ${question}`)) throw invalid(param, 'this pair is there twice');
    seen.add(`${document} ${question}`);
    return [document, question];
  });
}

function parseDocument(entry: unknown, param: string, number: number): JobDocument {
  if (typeof entry === 'string') return { id: assertId(entry, param), source: { fileId: entry } };
  const known = ['id', 'file_id', 'text', 'file_data', 'filename'];
  const fields = fieldsOf(entry, param, known, 'the id of a file, or an object with "file_id", "text" or "file_data"');
  const { file_id: fileId, text, file_data: data, filename } = fields;
  if ([fileId, text, data].filter((one) => one !== undefined).length !== 1) {
    throw invalid(param, 'must have one of file_id, text and file_data');
  }
  if (filename !== undefined && data === undefined) throw invalid(`${param}.filename`, 'belongs to file_data only');
  const name = filename === undefined ? undefined : assertId(filename, `${param}.filename`);
  if (fileId !== undefined) {
    const file = assertId(fileId, `${param}.file_id`);
    return { id: idOf(fields, param) ?? file, source: { fileId: file } };
  }
  const id = idOf(fields, param) ?? name ?? `document-${number}`;
  if (text !== undefined) {
    return { id, source: { filename: id, bytes: Buffer.from(textOf(text, `${param}.text`)) } };
  }
  return { id, source: { filename: name ?? id, bytes: bytesOf(data, `${param}.file_data`) } };
}

function bytesOf(data: unknown, param: string): Buffer {
  const base64 = typeof data === 'string' ? data.replace(DATA_URL, '') : undefined;
  if (base64 === undefined || base64.trim() === '' || !BASE64.test(base64)) {
    throw invalid(param, 'must be base64, plain or as a data URL (data:application/pdf;base64,...)');
  }
  return Buffer.from(base64, 'base64');
}

function listOf(value: unknown, param: string): unknown[] {
  if (value === undefined) throw ApiError.missing(param);
  if (!Array.isArray(value) || value.length === 0) throw invalid(param, 'must be a list of at least one entry');
  return value;
}

function fieldsOf(entry: unknown, param: string, known: readonly string[], expected: string): Record<string, unknown> {
  if (typeof entry !== 'object' || entry === null || Array.isArray(entry)) throw invalid(param, `must be ${expected}`);
  const stranger = Object.keys(entry).find((name) => !known.includes(name));
  // Null is as good as absent, as everywhere.
  if (stranger === undefined) return Object.fromEntries(Object.entries(entry).filter(([, value]) => value !== null));
  const path = `${param}.${stranger}`;
  throw ApiError.invalid(`Unrecognized request argument supplied: ${path}`, path, 'unknown_parameter');
}

const idOf = (fields: Record<string, unknown>, param: string): string | undefined =>
  fields['id'] === undefined ? undefined : assertId(fields['id'], `${param}.id`);

function assertId(value: unknown, param: string): string {
  if (typeof value === 'string' && value !== '' && value.length <= MAX_ID_LENGTH) return value;
  throw invalid(param, `must be a text of 1 to ${MAX_ID_LENGTH} characters`);
}

function textOf(value: unknown, param: string): string {
  if (typeof value === 'string' && value.trim() !== '') return value;
  throw invalid(param, 'must be a text that is not empty');
}

function assertUnique<T extends { readonly id: string }>(entries: T[], param: string): T[] {
  const seen = new Set<string>();
  for (const [i, { id }] of entries.entries()) {
    if (seen.has(id)) throw invalid(`${param}[${i}]`, `the id '${id}' is there twice; give each an "id" of its own`);
    seen.add(id);
  }
  return entries;
}

const isPosition = (value: unknown, count: number): value is number =>
  Number.isInteger(value) && (value as number) >= 0 && (value as number) < count;

const invalid = (param: string, what: string): ApiError =>
  ApiError.invalid(`Invalid '${param}': ${what}.`, param, 'invalid_value');
