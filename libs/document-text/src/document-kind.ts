import { extname } from 'node:path';
import { DocumentError } from './document-error.js';

/** How a document is read. Plain text and Markdown are taken as they are. */
export type DocumentKind = 'text' | 'html' | 'pdf' | 'docx';

/** Bytes of a document's beginning that `documentKind` looks at. */
export const HEAD_BYTES = 4096;

const READABLE = 'Documents can be text, Markdown, HTML, PDF and DOCX';
/** Viewers accept a PDF's header anywhere in here (ISO 32000-1, implementation note 13). */
const PDF_HEADER_WITHIN = 1024;
const HTML_START = /^<(?:!doctype\s+html|html)\b/i;

/** Beginnings of files that hold no text for us, or none that we can read. */
const UNREADABLE: readonly (readonly [signature: string, what: string])[] = [
  ['{\\rtf', 'an RTF document'],
  ['\x89PNG\r\n', 'a PNG image'],
  ['\xff\xd8\xff', 'a JPEG image'],
  ['GIF8', 'a GIF image'],
  ['II*\0', 'a TIFF image'],
  ['MM\0*', 'a TIFF image'],
  ['%!PS', 'a PostScript document'],
  ['\x1f\x8b', 'a gzip archive'],
  ['7z\xbc\xaf', 'a 7z archive'],
  ['Rar!', 'a RAR archive'],
];
const PDF = '%PDF-';
const ZIP = 'PK\x03\x04';
const EMPTY_ZIP = 'PK\x05\x06';
/** Compound files: Word before 2007, and every encrypted Office document since. */
const COMPOUND_FILE = '\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1';

/** What the name says of a content without a signature. */
const HTML_NAMES = new Set(['.html', '.htm', '.xhtml']);
const BINARY_NAMES: Readonly<Record<string, string>> = { '.pdf': 'PDF', '.docx': 'DOCX' };

/**
 * What a document is: by its content, and by its name only where the content does not tell.
 * @param head its first `HEAD_BYTES` bytes, or all of it
 * @param filename as uploaded; may be empty
 * @throws DocumentError for what is certainly none of the kinds that can be read
 */
export function documentKind(head: Uint8Array, filename: string): DocumentKind {
  const start = Buffer.from(head.buffer, head.byteOffset, Math.min(head.byteLength, HEAD_BYTES)).toString('latin1');
  const extension = extname(filename).toLowerCase();
  if (start.startsWith(PDF)) return 'pdf';
  if (start.startsWith(ZIP) || start.startsWith(EMPTY_ZIP)) return 'docx';
  if (start.startsWith(COMPOUND_FILE)) throw compoundFile(extension);
  for (const [signature, what] of UNREADABLE) {
    if (start.startsWith(signature)) {
      throw new DocumentError('unsupported_document', `The document is ${what}. ${READABLE}: convert it first.`);
    }
  }
  if (beginsAsHtml(start)) return 'html';
  // Only with the name's word for it: a text may well speak of PDF files.
  const mayBePdf = extension === '.pdf' || filename === '';
  if (mayBePdf && start.slice(0, PDF_HEADER_WITHIN).includes(PDF)) return 'pdf';
  if (HTML_NAMES.has(extension)) return 'html';
  const named = BINARY_NAMES[extension];
  if (named !== undefined) {
    throw new DocumentError(
      'broken_document',
      `The document is named ${extension} but does not begin as a ${named} file does. Was it cut, or given a wrong name?`,
    );
  }
  return 'text';
}

/** Whether the first tag is HTML's, behind a byte order mark, white space, an XML declaration and comments. */
function beginsAsHtml(start: string): boolean {
  let rest = start.replace(/^\xef\xbb\xbf/, '').trimStart();
  // Step by step: one pattern for all of it takes for ever on many comments.
  for (;;) {
    const close = rest.startsWith('<!--') ? '-->' : rest.startsWith('<?xml') ? '?>' : undefined;
    if (close === undefined) return HTML_START.test(rest);
    const end = rest.indexOf(close);
    if (end < 0) return false;
    rest = rest.slice(end + close.length).trimStart();
  }
}

function compoundFile(extension: string): DocumentError {
  return extension === '.docx'
    ? new DocumentError('encrypted_document', 'The DOCX document is encrypted. Save it without a password.')
    : new DocumentError(
        'unsupported_document',
        'The document is an old Office file (.doc and the like) or an encrypted one. Save it as DOCX without a password.',
      );
}
