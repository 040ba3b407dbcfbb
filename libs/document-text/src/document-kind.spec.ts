import { describe, expect, it } from 'vitest';
import { docxWithBody, pdfWithLines, zipOf } from '../../../test/made-documents.js';
import { DocumentError } from './document-error.js';
import { documentKind } from './document-kind.js';

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

describe('documentKind', () => {
  it.each([
    ['a PDF', pdfWithLines(['x']), 'report.pdf', 'pdf'],
    ['a PDF under another name', pdfWithLines(['x']), 'report.txt', 'pdf'],
    ['a PDF behind some bytes of mail', Buffer.concat([Buffer.alloc(900, '\n'), pdfWithLines(['x'])]), '', 'pdf'],
    ['a DOCX', docxWithBody(''), 'letter.docx', 'docx'],
    ['a DOCX without a name', docxWithBody(''), '', 'docx'],
    ['an empty archive', zipOf([]), 'letter.docx', 'docx'],
    ['a page with a doctype', bytes('\n<!DOCTYPE HTML PUBLIC "x"><p>'), 'page', 'html'],
    ['a page named as text', bytes('<html lang="en"><p>'), 'page.txt', 'html'],
    ['a page behind a byte order mark and a comment', bytes('\xef\xbb\xbf<!-- saved -->\n<html>'), '', 'html'],
    ['XHTML', bytes('<?xml version="1.0"?>\n<!DOCTYPE html><html>'), '', 'html'],
    ['a piece of HTML by its name', bytes('<p>Hello'), 'page.HTM', 'html'],
    ['a piece of HTML without a name', bytes('<p>Hello'), '', 'text'],
    ['Markdown', bytes('# Title\n<html> is a tag'), 'notes.md', 'text'],
    ['text', bytes('MM is not a TIFF image'), 'notes', 'text'],
    ['text that speaks of PDF late', bytes(`${'x'.repeat(1024)}%PDF-`), 'notes', 'text'],
    ['a text that begins with very many comments', bytes('<!---->'.repeat(500)), '', 'text'],
    ['a text about PDF files', bytes('A header is %PDF-1.7'), 'notes.md', 'text'],
    ['nothing', bytes(''), '', 'text'],
  ] as const)('takes %s for what it is', (_, head, name, kind) => {
    expect(documentKind(head, name)).toBe(kind);
  });

  it.each([
    ['a PNG image', bytes('\x89PNG\r\n\x1a\n'), 'scan.pdf', 'unsupported_document', /a PNG image/],
    ['RTF', bytes('{\\rtf1\\ansi'), 'letter.doc', 'unsupported_document', /an RTF document.*convert/],
    ['an old Word file', bytes('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'), 'a.doc', 'unsupported_document', /Save it as DOCX/],
    ['an encrypted DOCX', bytes('\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1'), 'a.docx', 'encrypted_document', /encrypted/],
    ['text named .pdf', bytes('Hello'), 'a.PDF', 'broken_document', /named \.pdf .* PDF file/],
    ['text named .docx', bytes('Hello'), 'a.docx', 'broken_document', /named \.docx/],
  ] as const)('refuses %s', (_, head, name, code, message) => {
    const refused = () => documentKind(head, name);
    expect(refused).toThrow(DocumentError);
    expect(refused).toThrow(expect.objectContaining({ code, message: expect.stringMatching(message) }));
  });
});
