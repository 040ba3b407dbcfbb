import type { DocumentTokenizer, TokenizedDocument } from './tokenized-document.js';

/** What is left of a document. */
export interface MiddleCut {
  readonly text: string;
  /** Tokens of the document that are left. */
  readonly kept: number;
}

/**
 * Cuts tokens out of the middle of a document, so that at most `most` are left: the first half and the last half of
 * these (the first has one more where they are odd), with nothing put in between, as LongBench does
 * (arXiv 2308.14508, section 4.1, and its pred.py).
 */
export async function cutMiddle(
  { text, ends }: TokenizedDocument,
  most: number,
  tokenizer: DocumentTokenizer,
): Promise<MiddleCut> {
  for (let kept = Math.min(most, ends.length); ; ) {
    const head = Math.ceil(kept / 2);
    const tail = kept - head;
    const left = text.slice(0, endOf(ends, head)) + text.slice(endOf(ends, ends.length - tail));
    // Where head and tail meet, or where a cut fell into a word, there may be more tokens than before.
    const found = (await tokenizer.tokenEnds(left)).length;
    if (found <= most) return { text: left, kept };
    kept = Math.max(0, kept - (found - most));
  }
}

/** Offset behind so many tokens. */
const endOf = (ends: Uint32Array, tokens: number): number => (tokens === 0 ? 0 : ends[tokens - 1]!);
