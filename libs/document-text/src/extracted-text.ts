import { toUSVString } from 'node:util';
import { DocumentError } from './document-error.js';

/** Everything below the space that a text has no use for. */
// biome-ignore lint/suspicious/noControlCharactersInRegex: those are meant
const CONTROL = /[\0-\x08\x0b\x0e-\x1f\x7f]/g;

/**
 * Text as documents should reach the model: line feeds, no control characters, no trailing spaces, paragraphs one empty
 * line apart, whole characters only.
 * @throws DocumentError where nothing is left, or more than `maxCharacters`
 */
export function tidyText(text: string, maxCharacters: number, whenEmpty: string): string {
  if (text.length > maxCharacters) throw textTooLong(maxCharacters);
  const tidy = toUSVString(text)
    .replace(/\r\n?|\f/g, '\n')
    .replace(CONTROL, '')
    // A pattern for trailing spaces takes for ever on long runs of spaces inside a line.
    .split('\n')
    .map((line) => line.trimEnd())
    .join('\n')
    .replace(/\n{3,}/g, '\n\n')
    .replace(/^\n+|\n+$/g, '');
  if (tidy === '') throw new DocumentError('no_text_in_document', whenEmpty);
  return tidy;
}

export const textTooLong = (maxCharacters: number): DocumentError =>
  new DocumentError(
    'document_too_large',
    `The document has more than ${maxCharacters} characters of text. Split it into smaller documents.`,
  );

/** What a library says of a document it cannot read, as one short line. */
export const reasonOf = (error: unknown): string =>
  (error instanceof Error ? error.message : String(error)).replace(/\s+/g, ' ').replace(/\.$/, '').slice(0, 200);
