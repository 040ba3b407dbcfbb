import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { deflatedBomb, docxParagraph, docxWith, docxWithBody, pdfWithContent } from './made-documents.js';

/** The compiled library: the process that reads can't be started from TypeScript. */
const { DocumentError, EXTRACTION_LIMITS, extractText } = (await import(
  '../dist/libs/document-text/src/index.js' as string
)) as typeof import('@app/document-text');

const MIB = 1024 * 1024;
const limits = { ...EXTRACTION_LIMITS, memoryBytes: 256 * MIB };
const fixture = (name: string): Buffer => readFileSync(join(import.meta.dirname, 'fixtures', name));
const ZLIB_HEADER = Buffer.from([0x78, 0x9c]);

describe('a document in a process of its own', () => {
  test('is read while the calling thread stays free', async () => {
    let turns = 0;
    const ticking = setInterval(() => turns++, 5);
    const [pdf, docx, html] = await Promise.all([
      extractText('pdf', fixture('federalist_51.pdf')),
      extractText('docx', fixture('federalist_51.docx')),
      extractText('html', Buffer.from('<h1>größer</h1>')),
    ]);
    clearInterval(ticking);
    expect(pdf).toContain('If men were angels');
    expect(docx).toContain('| No. 51 | February 6, 1788');
    expect(html).toBe('# größer');
    expect(turns).toBeGreaterThan(5);
  });

  test.each([
    ['a PDF', 'pdf', () => pdfWithContent(Buffer.concat([ZLIB_HEADER, deflatedBomb('BT ET ', 1).deflated]))],
    ['a DOCX', 'docx', () => docxWith({ name: 'word/document.xml', ...deflatedBomb('<w:document xmlns:w="x">', 1) })],
  ] as const)('%s that unpacks to a gigabyte is given up', async (_, kind, bomb) => {
    const bytes = bomb();
    expect(bytes.length).toBeLessThan(2 * MIB);
    await expect(extractText(kind, bytes, limits)).rejects.toMatchObject({
      code: 'extraction_out_of_memory',
      message: 'The document took more than 256 MiB of memory to read. Split it, or upload its text.',
    });
  });

  test('one that takes too long is given up, and so is one that nobody waits for', async () => {
    // The parser walks up the open elements for every new one: quadratic.
    const endless = Buffer.from('<div>'.repeat(300_000));
    await expect(extractText('html', endless, { ...EXTRACTION_LIMITS, seconds: 1 })).rejects.toMatchObject({
      code: 'extraction_timeout',
      message: 'The document took longer than 1 s to read. Split it, or upload its text.',
    });
    const abort = new AbortController();
    const reading = extractText('html', endless, EXTRACTION_LIMITS, abort.signal);
    abort.abort(new Error('the worker stops'));
    await expect(reading).rejects.toThrow('the worker stops');
    await expect(extractText('html', endless, EXTRACTION_LIMITS, abort.signal)).rejects.toThrow('the worker stops');
  });

  test('what is wrong with it is told apart', async () => {
    const refused = async (...args: Parameters<typeof extractText>) => {
      const error = await extractText(...args).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DocumentError);
      return (error as InstanceType<typeof DocumentError>).code;
    };
    expect(await refused('pdf', fixture('federalist_51.pdf').subarray(0, 4000))).toBe('broken_document');
    expect(await refused('docx', docxWithBody(''))).toBe('no_text_in_document');
    expect(await refused('docx', docxWithBody(docxParagraph('too long')), { ...limits, maxCharacters: 7 })).toBe(
      'document_too_large',
    );
    expect(await refused('html', Buffer.alloc(0))).toBe('empty_file');
    expect(await refused('html', Buffer.alloc(9), { ...limits, maxBytes: 8 })).toBe('document_too_large');
  });
});
