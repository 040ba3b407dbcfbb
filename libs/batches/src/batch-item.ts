import type { BatchEndpoint } from './batch-endpoint.js';
import type { BatchLine } from './batch-lines.js';
import { ApiError } from './openai-error.js';

/** A batch of 50,000 items keeps every id in memory while it is planned. */
export const MAX_CUSTOM_ID_LENGTH = 512;

/** One line of a batch file whose envelope could be read. */
export interface BatchItem {
  readonly customId: string;
  readonly method: unknown;
  readonly url: unknown;
  /** Not validated yet. */
  readonly body: unknown;
}

/** A line that names no item: nothing can be answered, not even under its custom_id. */
export class UnreadableLineError extends Error {
  override readonly name = 'UnreadableLineError';
  constructor(
    readonly code: 'line_too_long' | 'invalid_encoding' | 'invalid_json_line' | 'invalid_custom_id',
    message: string,
  ) {
    super(message);
  }
}

/**
 * Reads a line's envelope.
 * @throws UnreadableLineError
 */
export function readBatchItem({ line, length, bytes }: BatchLine, maxLineBytes: number): BatchItem {
  if (!bytes) {
    throw new UnreadableLineError(
      'line_too_long',
      `Line ${line} has ${length} bytes, at most ${maxLineBytes} are allowed. Upload long documents as files of their own.`,
    );
  }
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    throw new UnreadableLineError('invalid_encoding', `Line ${line} is not UTF-8 text. Save the file as UTF-8.`);
  }
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    const reason = error instanceof SyntaxError ? error.message : 'cannot be parsed';
    throw new UnreadableLineError('invalid_json_line', `Line ${line} is not valid JSON: ${reason.slice(0, 200)}.`);
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    throw new UnreadableLineError(
      'invalid_json_line',
      `Line ${line} must be a JSON object with custom_id, method, url and body.`,
    );
  }
  const { custom_id: customId, method, url, body } = value as Record<string, unknown>;
  if (typeof customId !== 'string' || customId === '' || customId.length > MAX_CUSTOM_ID_LENGTH) {
    throw new UnreadableLineError(
      'invalid_custom_id',
      `Line ${line}: custom_id must be a string of 1 to ${MAX_CUSTOM_ID_LENGTH} characters.`,
    );
  }
  return { customId, method, url, body };
}

/**
 * Checks what surrounds the body.
 * @param endpoint of the batch
 * @throws ApiError (400)
 */
export function checkEnvelope({ method, url, body }: BatchItem, endpoint: BatchEndpoint): void {
  if (method !== 'POST') throw ApiError.invalid("method must be 'POST'.", 'method', 'invalid_method');
  if (url !== endpoint) {
    throw ApiError.invalid(`url must be '${endpoint}', the endpoint of the batch.`, 'url', 'invalid_url');
  }
  if (body === undefined || body === null) {
    throw ApiError.invalid("Missing required parameter: 'body'.", 'body', 'missing_required_parameter');
  }
}

/** The text, or undefined where the bytes are not UTF-8 text. A byte order mark is dropped. */
export function decodeUtf8(bytes: Uint8Array): string | undefined {
  try {
    const text = new TextDecoder('utf-8', { fatal: true }).decode(bytes);
    // UTF-16 of plain English is valid UTF-8 too: every other byte is a NUL, which no text has.
    return text.includes('\0') ? undefined : text;
  } catch {
    return undefined;
  }
}
