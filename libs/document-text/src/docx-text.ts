import mammoth from 'mammoth';
import { DocumentError } from './document-error.js';
import { reasonOf } from './extracted-text.js';
import { markupText } from './html-text.js';

/**
 * The text of a Word document (DOCX): headings, lists, tables and footnotes as HTML has them, no images.
 * @throws DocumentError
 */
export async function docxText(bytes: Uint8Array, maxCharacters: number): Promise<string> {
  let markup: string;
  try {
    const { value } = await mammoth.convertToHtml(
      { buffer: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength) },
      {
        convertImage: mammoth.images.imgElement(async () => ({ src: '' })),
        // Neither other files of this machine nor what the document says of its own conversion.
        externalFileAccess: false,
        includeEmbeddedStyleMap: false,
      },
    );
    markup = value;
  } catch (error) {
    throw asDocumentError(error);
  }
  return markupText(markup, maxCharacters, 'The DOCX document has no text; images in it are not read.');
}

function asDocumentError(error: unknown): DocumentError {
  const reason = reasonOf(error);
  if (reason.includes('Could not find main document part')) {
    return new DocumentError(
      'unsupported_document',
      'The document is a ZIP archive but no Word document. Documents can be text, Markdown, HTML, PDF and DOCX.',
    );
  }
  if (reason.includes('Encrypted zip')) {
    return new DocumentError('encrypted_document', 'The DOCX document is encrypted. Save it without a password.');
  }
  if (error instanceof RangeError) {
    return new DocumentError('broken_document', "The document's elements are nested too deeply. Simplify it.");
  }
  // What the XML parser adds for its own log.
  const plain = reason.replace(/^\w+: \[xmldom \w+\]\s*/, '').replace(/\s*@#\[.*$/, '');
  return new DocumentError('broken_document', `The DOCX document cannot be read (${plain}). Save it again in Word.`);
}
