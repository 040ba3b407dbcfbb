/** Says where in a plain text its tokens end, without blocking the event loop. */
export interface DocumentTokenizer {
  /** UTF-16 offset behind each token, ascending; the last is the text's length. None lies within a character. */
  tokenEnds(text: string): Promise<Uint32Array>;
}

/** A text whose tokens are known. */
export interface TokenizedDocument {
  readonly text: string;
  /** UTF-16 offset behind each token. */
  readonly ends: Uint32Array;
}

/** Some 30 ms: whoever else wants something tokenised waits no longer. */
const PIECE_CHARACTERS = 16_384;
/** Where a text can be cut without changing any token: `BlockEncoder` says why. */
const WORD_END = /[A-Za-z](?=[ \n])/g;

/** Tokenises a text of any length, a piece at a time. */
export async function tokenizeDocument(text: string, tokenizer: DocumentTokenizer): Promise<TokenizedDocument> {
  const pieces: Uint32Array[] = [];
  for (let from = 0; from < text.length; ) {
    const to = pieceEnd(text, from);
    const ends = await tokenizer.tokenEnds(text.slice(from, to));
    for (let i = 0; i < ends.length; i++) ends[i] = ends[i]! + from;
    pieces.push(ends);
    from = to;
  }
  const all = new Uint32Array(pieces.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const piece of pieces) {
    all.set(piece, at);
    at += piece.length;
  }
  return { text, ends: all };
}

function pieceEnd(text: string, from: number): number {
  if (text.length - from <= PIECE_CHARACTERS) return text.length;
  WORD_END.lastIndex = PIECE_CHARACTERS;
  const found = WORD_END.exec(text.slice(from, from + 2 * PIECE_CHARACTERS));
  if (found !== null) return from + found.index + 1;
  // Text without such words: cut anywhere but within a character.
  const end = from + PIECE_CHARACTERS;
  return /[\uDC00-\uDFFF]/.test(text[end]!) ? end + 1 : end;
}
