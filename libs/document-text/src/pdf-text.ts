import { getDocumentProxy } from 'unpdf';
import { DocumentError } from './document-error.js';
import { reasonOf, textTooLong, tidyText } from './extracted-text.js';

/** A page tree may claim or share any number of pages; this is some 30 thick books. */
const MAX_PAGES = 20_000;
/** The end-of-file marker stands this near to the end of a whole PDF, whatever mail or web servers added. */
const END_WITHIN_BYTES = 16 * 1024;
/** From line to line: a gap so much wider than the page's usual one, and than the line is high, begins a paragraph. */
const PARAGRAPH_GAP = { usual: 1.3, height: 1.5 };
/** pdf.js' VerbosityLevel.ERRORS. */
const ERRORS_ONLY = 0;

type Pdf = Awaited<ReturnType<typeof getDocumentProxy>>;
type PageItem = Awaited<ReturnType<Awaited<ReturnType<Pdf['getPage']>>['getTextContent']>>['items'][number];

/**
 * The text of a PDF, in the order its pages draw it, pages and paragraphs one empty line apart. There is none in scanned
 * pages: no characters are recognised.
 * @throws DocumentError
 */
export async function pdfText(bytes: Uint8Array, maxCharacters: number): Promise<string> {
  // pdf.js would read what is there of a cut file, and answers would come from half a document.
  if (!Buffer.from(bytes.subarray(-END_WITHIN_BYTES)).includes('%%EOF')) {
    throw new DocumentError('broken_document', 'The PDF is cut off: its end is missing. Upload the whole file.');
  }
  let text = '';
  try {
    // pdf.js takes the bytes for itself.
    const pdf = await getDocumentProxy(new Uint8Array(bytes), { verbosity: ERRORS_ONLY });
    if (pdf.numPages > MAX_PAGES) {
      throw new DocumentError(
        'document_too_large',
        `The PDF has ${pdf.numPages} pages, at most ${MAX_PAGES} are read.`,
      );
    }
    for (let number = 1; number <= pdf.numPages; number++) {
      const page = await pdf.getPage(number);
      text += `${pageText((await page.getTextContent()).items)}\n\n`;
      if (text.length > maxCharacters) throw textTooLong(maxCharacters);
      page.cleanup();
    }
  } catch (error) {
    throw error instanceof DocumentError ? error : asDocumentError(error);
  }
  return tidyText(
    text,
    maxCharacters,
    'The PDF has no text: its pages are images, of scanned paper for example. Run character recognition (OCR) on it first.',
  );
}

/** A line with anything on it, in points. */
interface Line {
  readonly text: string;
  /** Where it stands on the page, upwards. */
  readonly foot: number;
  readonly height: number;
}

/** Lines as they are drawn, an empty one where the page leaves more than its usual space between two. */
function pageText(items: readonly PageItem[]): string {
  const lines = linesOf(items);
  const gaps = lines.slice(1).map(({ foot }, i) => lines[i]!.foot - foot);
  const usual = median(gaps.filter((gap) => gap > 0));
  const beginsParagraph = (i: number): boolean =>
    i > 0 && gaps[i - 1]! > Math.max(PARAGRAPH_GAP.usual * usual, PARAGRAPH_GAP.height * lines[i]!.height);
  return lines.map(({ text }, i) => (beginsParagraph(i) ? `\n${text}` : text)).join('\n');
}

function linesOf(items: readonly PageItem[]): Line[] {
  const lines: Line[] = [];
  let text = '';
  let first: { foot: number; height: number } | undefined;
  const end = (): void => {
    if (first) lines.push({ text, ...first });
    text = '';
    first = undefined;
  };
  for (const item of items) {
    if (!('str' in item)) continue;
    // The sixth number of a text matrix is the vertical position.
    if (item.str.trim() !== '') first ??= { foot: (item.transform as number[])[5]!, height: item.height };
    text += item.str;
    if (item.hasEOL) end();
  }
  end();
  return lines;
}

function median(values: number[]): number {
  return values.sort((a, b) => a - b)[values.length >> 1] ?? Number.POSITIVE_INFINITY;
}

function asDocumentError(error: unknown): DocumentError {
  if ((error as Error | undefined)?.name === 'PasswordException') {
    return new DocumentError('encrypted_document', 'The PDF is encrypted. Save it without a password.');
  }
  return new DocumentError(
    'broken_document',
    `The PDF cannot be read (${reasonOf(error)}). Save or print it as PDF again.`,
  );
}
