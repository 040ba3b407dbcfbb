/** One non-empty line of a batch file. */
export interface BatchLine {
  /** 0-based, among the non-empty lines. */
  readonly index: number;
  /** 1-based, as an editor counts. */
  readonly line: number;
  /** Offset of its first byte. */
  readonly start: number;
  /** Length without the line's end. */
  readonly length: number;
  /** Undefined where the line is longer than allowed: it was skipped without being held. */
  readonly bytes: Buffer | undefined;
}

const LINE_FEED = 0x0a;
const BYTE_ORDER_MARK = Buffer.from([0xef, 0xbb, 0xbf]);

/**
 * Cuts a stream into lines at byte level, so that no encoding error can move a line's end. A byte order mark, carriage
 * returns, empty lines and a missing last line feed are tolerated. Holds at most one line of at most `maxLineBytes`.
 */
export async function* readBatchLines(source: AsyncIterable<Buffer>, maxLineBytes: number): AsyncGenerator<BatchLine> {
  let pieces: Buffer[] = [];
  let length = 0;
  let start = 0;
  let line = 1;
  let index = 0;

  const take = (): BatchLine | undefined => {
    let bytes = length > maxLineBytes ? undefined : Buffer.concat(pieces);
    let from = start;
    if (from === 0 && bytes?.subarray(0, 3).equals(BYTE_ORDER_MARK)) {
      bytes = bytes.subarray(3);
      from = 3;
    }
    const found =
      bytes && isBlank(bytes)
        ? undefined
        : { index: index++, line, start: from, length: bytes?.length ?? length, bytes };
    start += length + 1;
    line++;
    length = 0;
    pieces = [];
    return found;
  };
  const add = (piece: Buffer): void => {
    length += piece.length;
    if (length > maxLineBytes) pieces = [];
    else pieces.push(piece);
  };

  for await (const chunk of source) {
    let from = 0;
    for (let end = chunk.indexOf(LINE_FEED); end >= 0; end = chunk.indexOf(LINE_FEED, from)) {
      add(chunk.subarray(from, end));
      const found = take();
      if (found) yield found;
      from = end + 1;
    }
    add(chunk.subarray(from));
  }
  const last = length > 0 ? take() : undefined;
  if (last) yield last;
}

/** Nothing but spaces, tabs and carriage returns. */
function isBlank(bytes: Buffer): boolean {
  for (const byte of bytes) if (byte !== 0x20 && byte !== 0x09 && byte !== 0x0d) return false;
  return true;
}
