import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { describe, expect, it } from 'vitest';
import {
  docxParagraph,
  docxWith,
  docxWithBody,
  pdfOf,
  pdfWithContent,
  pdfWithLines,
  zipEntry,
  zipOf,
} from '../../../test/made-documents.js';
import { docxText } from './docx-text.js';
import { htmlText } from './html-text.js';
import { pdfText } from './pdf-text.js';

const MAX = 100_000;
const root = join(import.meta.dirname, '../../..');
const fixture = (name: string): Buffer => readFileSync(join(root, 'test/fixtures', name));
const words = (text: string): string => text.replace(/\s+/g, ' ');
const original = words(readFileSync(join(root, 'examples/documents/federalist_51.txt'), 'utf8')).trim();
const paragraphs = (text: string): number => text.split('\n\n').length;

/** One page for each text, drawn as PDF operators. */
const pdf = (content: string): Buffer => pdfWithContent(deflateSync(content));

describe('pdfText', () => {
  it('reads a real document, every word and paragraph of it', async () => {
    const text = await pdfText(fixture('federalist_51.pdf'), MAX);
    expect(words(text)).toBe(original);
    // Two paragraphs go over a page's end.
    expect(paragraphs(text)).toBeGreaterThanOrEqual(17);
    expect(text).not.toMatch(/\n{3}| \n/);
  });

  it('sees paragraphs by the space between lines, in double-spaced text too', async () => {
    const lines = (...steps: number[]) =>
      pdfText(
        pdf(`BT /F1 12 Tf 72 720 Td ${steps.map((step, i) => `0 -${step} Td (line ${i}) Tj`).join(' ')} ET`),
        MAX,
      );
    expect(await lines(14, 14, 14, 24, 14)).toBe('line 0\nline 1\nline 2\n\nline 3\nline 4');
    expect(await lines(28, 28, 28, 48, 28)).toBe('line 0\nline 1\nline 2\n\nline 3\nline 4');
  });

  it.each([
    ['without text', pdf(''), 'no_text_in_document', /recognition/],
    ['with white space only', pdfWithLines(['  ', ' ']), 'no_text_in_document', /recognition/],
    ['cut off', fixture('federalist_51.pdf').subarray(0, 5000), 'broken_document', /cut off/],
    [
      'with a hole and an end',
      Buffer.concat([fixture('federalist_51.pdf').subarray(0, 5000), Buffer.from('%%EOF')]),
      'broken_document',
      /cannot be read/,
    ],
    ['with a header only', Buffer.from('%PDF-1.7\n%%EOF'), 'broken_document', /Invalid PDF structure/],
    [
      'whose pages go in circles',
      pdfOf(['<< /Type /Catalog /Pages 2 0 R >>', '<< /Type /Pages /Kids [2 0 R] /Count 1 >>']),
      'broken_document',
      /circular/,
    ],
    [
      'with a password',
      pdfWithContent(
        deflateSync(''),
        undefined,
        `/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <${'11'.repeat(32)}> /U <${'22'.repeat(32)}> >>`,
      ),
      'encrypted_document',
      /password/,
    ],
  ])('refuses a PDF %s', async (_, bytes, code, message) => {
    await expect(pdfText(bytes, MAX)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('refuses a PDF with more text than allowed', async () => {
    await expect(pdfText(fixture('federalist_51.pdf'), 10_000)).rejects.toMatchObject({
      code: 'document_too_large',
      message: expect.stringContaining('more than 10000 characters'),
    });
  });

  it('refuses a PDF of very many pages, each the same', async () => {
    const twenty = (kid: number) => `[${`${kid} 0 R `.repeat(20)}]`;
    const levels = [4, 3, 2, 1].map((left, i) => `<< /Type /Pages /Kids ${twenty(i + 3)} /Count ${20 ** left} >>`);
    const bytes = pdfOf(['<< /Type /Catalog /Pages 2 0 R >>', ...levels, '<< /Type /Page /MediaBox [0 0 9 9] >>']);
    await expect(pdfText(bytes, MAX)).rejects.toMatchObject({
      code: 'document_too_large',
      message: 'The PDF has 160000 pages, at most 20000 are read.',
    });
  });

  it('does not believe a page count', async () => {
    const content = deflateSync('BT /F1 12 Tf (the only page) Tj ET');
    for (const count of [1e9, 19_000, 2]) {
      expect(await pdfText(pdfWithContent(content, `/Kids [3 0 R] /Count ${count}`), MAX)).toBe('the only page');
    }
  });
});

describe('docxText', () => {
  it('reads a real document: words, headings, lists and tables', async () => {
    const text = await docxText(fixture('federalist_51.docx'), MAX);
    const [body, notes] = text.split('\n\n## Notes\n\n');
    expect(words(body!).replaceAll('#', '').replaceAll('  ', ' ').trim()).toBe(original);
    expect(body).toMatch(/^# FEDERALIST No\. 51\n\n## The Structure of/);
    expect(notes).toBe(
      '- Madison or Hamilton\n- Published in New York\n\n| Paper | Date\n| No. 51 | February 6, 1788\n| No. 10 | November 23, 1787',
    );
  });

  it.each([
    ['without text', docxWithBody(''), 'no_text_in_document', /no text/],
    ['cut off', fixture('federalist_51.docx').subarray(0, 20_000), 'broken_document', /end of central directory/],
    [
      'with broken XML',
      docxWith(zipEntry('word/document.xml', '<w:document <<<')),
      'broken_document',
      /\(unclosed xml attribute\)/,
    ],
    [
      'that is another archive',
      zipOf([zipEntry('xl/workbook.xml', '<x/>')]),
      'unsupported_document',
      /no Word document/,
    ],
    ['with more text than allowed', docxWithBody(docxParagraph('x'.repeat(MAX + 1))), 'document_too_large', /100000/],
    [
      'with deep nesting',
      docxWithBody(`${'<w:tbl><w:tr><w:tc>'.repeat(9000)}${'</w:tc></w:tr></w:tbl>'.repeat(9000)}`),
      'broken_document',
      /nested too deeply/,
    ],
    [
      'with entities in entities',
      docxWith(zipEntry('word/document.xml', '<!DOCTYPE a [<!ENTITY a "aa"><!ENTITY b "&a;&a;">]><a>&b;</a>')),
      'broken_document',
      /entity not found/,
    ],
  ])('refuses a DOCX %s', async (_, bytes, code, message) => {
    await expect(docxText(bytes, MAX)).rejects.toMatchObject({ code, message: expect.stringMatching(message) });
  });

  it('reads no other file that the document names', async () => {
    const secret = join(root, 'package.json');
    const rels = `<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId9" Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/image" Target="file://${secret}" TargetMode="External"/></Relationships>`;
    const picture =
      '<w:p><w:r><w:t>before</w:t><w:drawing xmlns:a="http://schemas.openxmlformats.org/drawingml/2006/main" ' +
      'xmlns:wp="http://schemas.openxmlformats.org/drawingml/2006/wordprocessingDrawing" ' +
      'xmlns:pic="http://schemas.openxmlformats.org/drawingml/2006/picture" ' +
      'xmlns:r="http://schemas.openxmlformats.org/officeDocument/2006/relationships"><wp:inline><a:graphic><a:graphicData>' +
      '<pic:pic><pic:blipFill><a:blip r:link="rId9"/></pic:blipFill></pic:pic></a:graphicData></a:graphic></wp:inline>' +
      '</w:drawing></w:r></w:p>';
    const bytes = docxWithBody(picture, zipEntry('word/_rels/document.xml.rels', rels));
    expect(await docxText(bytes, MAX)).toBe('before');
  });
});

describe('htmlText', () => {
  const html = (markup: string, max = MAX): string => htmlText(Buffer.from(markup), max);

  it('keeps what a reader sees, in Markdown’s forms', () => {
    const page = `<!doctype html><html><head><title>no</title><style>p{}</style><script>alert(1<2)</script></head><body>
      <h1>Title</h1><p>One <b>bold</b>&nbsp;text<br>next line.<p>§ 5 &lt;tag&gt; a&amp;b
      <ul><li>one<li>two<ul><li>nested</ul></ul><ol><li>first<li>second</ol>
      <table><tr><th>Name<th>Value</tr><tr><td><p>A</p><p>B</p><td>1</tr></table>
      <dl><dt>Term<dd>Meaning</dl><pre>code\n  indented</pre><a href="http://example.com">link</a><img src="x" alt="no">`;
    expect(html(page)).toBe(
      [
        '# Title',
        'One bold\u00a0text\nnext line.',
        '§ 5 <tag> a&b',
        '- one\n- two\n  - nested',
        ' 1. first\n 2. second',
        '| Name | Value\n| A B | 1',
        'Term\nMeaning',
        'code\n  indented',
        'link',
      ].join('\n\n'),
    );
  });

  it.each([
    ['UTF-8 by default', Buffer.from('<p>größer'), 'größer'],
    ['the charset it names', Buffer.from('<meta charset="iso-8859-1"><p>gr\xf6\xdfer', 'latin1'), 'größer'],
    ['UTF-16 by its mark', Buffer.from('\ufeff<p>größer', 'utf16le'), 'größer'],
    ['no control characters', Buffer.from('<p>a\0b\x1bc'), 'abc'],
  ])('is read in %s', (_, bytes, text) => {
    expect(htmlText(bytes, MAX)).toBe(text);
  });

  it.each([
    ['without text', '<!doctype html><img src="x">', 'no_text_in_document', /no text/],
    ['with more text than allowed', 'x'.repeat(MAX + 1), 'document_too_large', /100000/],
    ['with deep nesting', '<div>'.repeat(20_000), 'broken_document', /nested too deeply/],
    ['in an unknown encoding', '<meta charset="klingon"><p>x', 'invalid_encoding', /'klingon'/],
  ])('refuses HTML %s', (_, markup, code, message) => {
    expect(() => html(markup)).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });

  it('takes long runs of spaces in its stride', () => {
    const spaces = ' '.repeat(90_000);
    expect(html(`<pre>a${spaces}b${spaces}\nc</pre>`, 2 * MAX)).toBe(`a${spaces}b\nc`);
  });

  it('refuses what is not in the encoding it should be in', () => {
    const read = () => htmlText(Buffer.from('<p>caf\xe9', 'latin1'), MAX);
    expect(read).toThrow(expect.objectContaining({ code: 'invalid_encoding' }));
  });
});
