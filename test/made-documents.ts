import { constants, deflateRawSync, deflateSync } from 'node:zlib';

/** PDF and DOCX files made by hand, for what no word processor writes: broken, empty and hostile ones. */

/** A stream object: its dictionary's entries, then its bytes. */
export interface PdfStream {
  readonly entries: string;
  readonly bytes: Buffer;
}

/** A whole PDF (ISO 32000-1, 7.5) with these objects, numbered from 1; the first is the catalogue. */
export function pdfOf(objects: readonly (string | PdfStream)[], trailer = ''): Buffer {
  const pieces: Buffer[] = [Buffer.from('%PDF-1.7\n')];
  const offsets: number[] = [];
  let length = pieces[0]!.length;
  const add = (piece: Buffer): void => {
    pieces.push(piece);
    length += piece.length;
  };
  for (const [i, object] of objects.entries()) {
    offsets.push(length);
    add(Buffer.from(`${i + 1} 0 obj\n`));
    if (typeof object === 'string') add(Buffer.from(object));
    else {
      add(Buffer.from(`<< ${object.entries} /Length ${object.bytes.length} >>\nstream\n`));
      add(object.bytes);
      add(Buffer.from('\nendstream'));
    }
    add(Buffer.from('\nendobj\n'));
  }
  const table = offsets.map((offset) => `${String(offset).padStart(10, '0')} 00000 n \n`).join('');
  const size = objects.length + 1;
  add(
    Buffer.from(
      `xref\n0 ${size}\n0000000000 65535 f \n${table}trailer\n<< /Size ${size} /Root 1 0 R ${trailer} >>\n` +
        `startxref\n${length}\n%%EOF\n`,
    ),
  );
  return Buffer.concat(pieces);
}

/** A PDF of one page whose content (PDF operators) is this zlib stream. */
export const pdfWithContent = (deflated: Buffer, pages = '/Kids [3 0 R] /Count 1', trailer = ''): Buffer =>
  pdfOf(
    [
      '<< /Type /Catalog /Pages 2 0 R >>',
      `<< /Type /Pages ${pages} >>`,
      '<< /Type /Page /Parent 2 0 R /MediaBox [0 0 612 792] /Contents 4 0 R /Resources << /Font << /F1 5 0 R >> >> >>',
      { entries: '/Filter /FlateDecode', bytes: deflated },
      '<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>',
    ],
    trailer,
  );

/** A PDF of one page with one line of text a line. */
export const pdfWithLines = (lines: readonly string[]): Buffer =>
  pdfWithContent(deflateSync(`BT /F1 12 Tf 72 720 Td 14 TL ${lines.map((line) => `(${line}) Tj T*`).join(' ')} ET`));

/** One file of a ZIP archive; `size` is what the archive says of its uncompressed size. */
export interface ZipEntry {
  readonly name: string;
  readonly deflated: Buffer;
  readonly size: number;
}

export const zipEntry = (name: string, content: string | Buffer): ZipEntry => ({
  name,
  deflated: deflateRawSync(content),
  size: Buffer.byteLength(content),
});

/** A ZIP archive (APPNOTE.TXT 4.3) of these files. Checksums are zero: readers of documents do not look at them. */
export function zipOf(entries: readonly ZipEntry[]): Buffer {
  const files: Buffer[] = [];
  const directory: Buffer[] = [];
  let offset = 0;
  for (const { name, deflated, size } of entries) {
    const header = Buffer.alloc(26);
    header.writeUInt16LE(20, 0); // version needed
    header.writeUInt16LE(8, 4); // deflate
    header.writeUInt32LE(deflated.length, 14);
    header.writeUInt32LE(size, 18);
    header.writeUInt16LE(name.length, 22);
    const central = Buffer.alloc(14);
    central.writeUInt32LE(offset, 10);
    files.push(Buffer.from('PK\x03\x04'), header, Buffer.from(name), deflated);
    directory.push(Buffer.from('PK\x01\x02\x14\0', 'latin1'), header, central, Buffer.from(name));
    offset += 30 + name.length + deflated.length;
  }
  const size = directory.reduce((sum, { length }) => sum + length, 0);
  const end = Buffer.alloc(18);
  end.writeUInt16LE(entries.length, 4);
  end.writeUInt16LE(entries.length, 6);
  end.writeUInt32LE(size, 8);
  end.writeUInt32LE(offset, 12);
  return Buffer.concat([...files, ...directory, Buffer.from('PK\x05\x06'), end]);
}

const CONTENT_TYPES =
  '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">' +
  '<Override PartName="/word/document.xml" ' +
  'ContentType="application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"/></Types>';
const RELATIONSHIPS =
  '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships"><Relationship Id="rId1" ' +
  'Type="http://schemas.openxmlformats.org/officeDocument/2006/relationships/officeDocument" ' +
  'Target="word/document.xml"/></Relationships>';
const NAMESPACE = 'http://schemas.openxmlformats.org/wordprocessingml/2006/main';

/** A DOCX with this body (WordprocessingML). */
export const docxWithBody = (body: string, ...more: ZipEntry[]): Buffer =>
  docxWith(
    zipEntry('word/document.xml', `<w:document xmlns:w="${NAMESPACE}"><w:body>${body}</w:body></w:document>`),
    ...more,
  );

/** A DOCX with this main part. */
export const docxWith = (document: ZipEntry, ...more: ZipEntry[]): Buffer =>
  zipOf([zipEntry('[Content_Types].xml', CONTENT_TYPES), zipEntry('_rels/.rels', RELATIONSHIPS), document, ...more]);

export const docxParagraph = (text: string): string => `<w:p><w:r><w:t>${text}</w:t></w:r></w:p>`;

const BOMB_BLOCK_BYTES = 16 * 1024 * 1024;

/** What `deflateRaw` makes of `text` and then spaces up to `gibibytes`, without ever holding those. */
export function deflatedBomb(text: string, gibibytes: number): { deflated: Buffer; size: number } {
  const flushed = { finishFlush: constants.Z_FULL_FLUSH };
  const block = deflateRawSync(Buffer.alloc(BOMB_BLOCK_BYTES, ' '), flushed);
  const blocks = (gibibytes * 1024 ** 3) / BOMB_BLOCK_BYTES;
  const deflated = [deflateRawSync(text, flushed), ...Array<Buffer>(blocks).fill(block), deflateRawSync('')];
  return { deflated: Buffer.concat(deflated), size: text.length + blocks * BOMB_BLOCK_BYTES };
}
