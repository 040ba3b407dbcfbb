import type { DocumentTokenizer, TokenizedDocument } from './tokenized-document.js';

/** A stretch of a document. */
export interface DocumentPart {
  readonly text: string;
  readonly tokens: number;
}

/** Ends of what belongs together, the best first; each with what separates it from what follows. */
const BORDERS: readonly RegExp[] = [
  // paragraphs: a blank line
  /\n[^\S\n]*\n\s*/g,
  // sentences, and those of scripts without spaces
  /[.!?…]["'”’»)\]]*\s+|[。！？]/g,
  /\n+/g,
];

/** How much longer than the mean a part may be, so that it can end at a border. */
const LEEWAY = 1.1;

/**
 * Splits a document into parts of at most `most` tokens and nearly equal length: where a paragraph ends, else where a sentence does, else a line,
 * else behind any token. A border counts only in the second half of what a part may hold, so that few parts are needed.
 * The parts joined are the document.
 */
export async function splitDocument(
  { text, ends }: TokenizedDocument,
  most: number,
  tokenizer: DocumentTokenizer,
): Promise<DocumentPart[]> {
  const aim = Math.min(most, Math.ceil((LEEWAY * ends.length) / Math.ceil(ends.length / most)));
  const parts: DocumentPart[] = [];
  let start = 0;
  for (let first = 0; start < text.length; ) {
    while (ends[first]! <= start) first++;
    const part = await nextPart(start, first);
    parts.push(part);
    start += part.text.length;
  }
  return parts;

  async function nextPart(from: number, token: number): Promise<DocumentPart> {
    for (let room = aim; ; ) {
      const isLast = token + room >= ends.length;
      const limit = isLast ? text.length : ends[token + room - 1]!;
      const part = text.slice(from, isLast ? limit : border(text, from, limit));
      const tokens = (await tokenizer.tokenEnds(part)).length;
      // Cut into a word, or from what stood before it, a part may have more tokens than it had within the document.
      if (tokens <= most || room === 1) return { text: part, tokens };
      room = Math.max(1, room - (tokens - most));
    }
  }
}

function border(text: string, from: number, limit: number): number {
  const middle = from + Math.floor((limit - from) / 2);
  const half = text.slice(middle, limit);
  for (const pattern of BORDERS) {
    let end = 0;
    for (const { 0: found, index } of half.matchAll(pattern)) end = index + found.length;
    if (end > 0) return middle + end;
  }
  return limit;
}
