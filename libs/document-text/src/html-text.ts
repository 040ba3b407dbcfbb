import { compile, type FormatCallback, type SelectorDefinition } from 'html-to-text';
import { DocumentError } from './document-error.js';
import { tidyText } from './extracted-text.js';

/** Where an HTML document names its encoding (HTML standard, "prescan a byte stream": the first 1024 bytes). */
const CHARSET_WITHIN = 1024;
const CHARSET = /<meta[^>]+charset\s*=\s*["']?\s*([\w:-]+)/i;

/** Headings as Markdown has them, so that a model sees which is which. */
const heading: FormatCallback = (element, walk, builder) => {
  builder.openBlock({ leadingLineBreaks: 2 });
  builder.addInline(`${'#'.repeat(Number(element.name!.slice(1)))} `);
  walk(element.children, builder);
  builder.closeBlock({ trailingLineBreaks: 2 });
};

const each = (names: readonly string[], rest: Omit<SelectorDefinition, 'selector'>): SelectorDefinition[] =>
  names.map((selector) => ({ selector, ...rest }));
const line = { leadingLineBreaks: 1, trailingLineBreaks: 1 };
const paragraph = { leadingLineBreaks: 2, trailingLineBreaks: 2 };

const toText = compile({
  wordwrap: false,
  // A longer text would be cut without a word; our own limits refuse it.
  limits: { maxInputLength: Number.MAX_SAFE_INTEGER },
  formatters: { markdownHeading: heading },
  selectors: [
    ...each(['h1', 'h2', 'h3', 'h4', 'h5', 'h6'], { format: 'markdownHeading' }),
    { selector: 'p', options: paragraph },
    { selector: 'a', options: { ignoreHref: true } },
    ...each(['img', 'svg', 'script', 'style', 'template', 'noscript'], { format: 'skip' }),
    // One line a row: padding cells to columns costs tokens and breaks on long ones.
    { selector: 'table', options: paragraph },
    ...each(['tr', 'dt', 'dd', 'caption', 'figcaption', 'summary', 'option'], { format: 'block', options: line }),
    ...each(['td', 'th'], { format: 'inlineSurround', options: { prefix: '| ', suffix: ' ' } }),
    // Word puts a paragraph into every cell.
    ...each(['td > p', 'th > p'], { format: 'inlineSurround', options: { prefix: ' ' } }),
    ...each(['td > p:first-child', 'th > p:first-child'], { format: 'inline' }),
    { selector: 'ul', options: { itemPrefix: '- ' } },
    ...each(['section', 'dl', 'fieldset', 'figure', 'details', 'address'], { format: 'block', options: paragraph }),
  ],
});

/**
 * The text of an HTML document: headings and lists as in Markdown, table rows as lines of cells, no links or images.
 * @throws DocumentError
 */
export const htmlText = (bytes: Uint8Array, maxCharacters: number): string =>
  markupText(decodeHtml(bytes), maxCharacters, 'The HTML document has no text.');

/** The text of HTML markup; `whenEmpty` is the error where there is none. */
export function markupText(markup: string, maxCharacters: number, whenEmpty: string): string {
  let text: string;
  try {
    text = toText(markup);
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    throw new DocumentError('broken_document', "The document's elements are nested too deeply. Simplify it.");
  }
  return tidyText(text, maxCharacters, whenEmpty);
}

/** By byte order mark, then by the charset the document names, else UTF-8. */
function decodeHtml(bytes: Uint8Array): string {
  const label = byteOrderMark(bytes) ?? CHARSET.exec(latin1(bytes.subarray(0, CHARSET_WITHIN)))?.[1] ?? 'utf-8';
  try {
    return new TextDecoder(label, { fatal: true }).decode(bytes);
  } catch {
    throw new DocumentError(
      'invalid_encoding',
      `The HTML document is not text in the encoding '${label.slice(0, 40)}'. Save it as UTF-8.`,
    );
  }
}

function byteOrderMark([a, b, c]: Uint8Array): string | undefined {
  if (a === 0xef && b === 0xbb && c === 0xbf) return 'utf-8';
  if (a === 0xff && b === 0xfe) return 'utf-16le';
  if (a === 0xfe && b === 0xff) return 'utf-16be';
  return undefined;
}

const latin1 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('latin1');
