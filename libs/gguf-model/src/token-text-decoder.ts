import type { Tokenizer } from './tokenizer.js';

/**
 * Tokens to text as they come. A token can end inside a character, so text is handed out once its UTF-8 is complete;
 * bytes that can never become a character come out as U+FFFD.
 */
export class TokenTextDecoder {
  private readonly utf8 = new TextDecoder('utf-8', { ignoreBOM: true });

  constructor(private readonly tokenizer: Pick<Tokenizer, 'tokenBytes'>) {}

  /** Text that became complete with `token`; often the token's own, sometimes none. */
  push(token: number): string {
    return this.utf8.decode(this.tokenizer.tokenBytes(token), { stream: true });
  }

  /** What is left: U+FFFD if the last character stayed incomplete, else nothing. The decoder can then be used anew. */
  end(): string {
    return this.utf8.decode();
  }
}
