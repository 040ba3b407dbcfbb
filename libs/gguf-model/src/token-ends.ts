import type { Tokenizer } from './tokenizer.js';

/** Not looked up yet. A token has fewer code units than this: longer ones are looked up again. */
const UNKNOWN = 255;

/** Says where in a text its tokens end. */
export class TokenEnds {
  /** UTF-16 code units of each token. */
  private readonly units: Uint8Array;

  constructor(private readonly tokenizer: Tokenizer) {
    this.units = new Uint8Array(tokenizer.vocabularySize).fill(UNKNOWN);
  }

  /**
   * UTF-16 offset behind each token of a plain text, ascending; the last is the text's length. A character that several
   * tokens make up belongs to the first of them, so that no offset lies within one.
   */
  of(text: string): Uint32Array {
    const ids = this.tokenizer.encode(text);
    const ends = new Uint32Array(ids.length);
    let end = 0;
    for (let i = 0; i < ids.length; i++) {
      end = Math.min(text.length, end + this.unitsOf(ids[i]!));
      ends[i] = end;
    }
    // Characters that the vocabulary lacks have no tokens.
    if (ends.length > 0) ends[ends.length - 1] = text.length;
    return ends;
  }

  private unitsOf(token: number): number {
    const known = this.units[token]!;
    if (known !== UNKNOWN) return known;
    let units = 0;
    for (const byte of this.tokenizer.tokenBytes(token)) {
      // The first byte of a character counts it; beyond U+FFFF it is two code units.
      if ((byte & 0xc0) !== 0x80) units += byte >= 0xf0 ? 2 : 1;
    }
    if (units < UNKNOWN) this.units[token] = units;
    return units;
  }
}
