import { Tokenizer as PackageTokenizer } from '@huggingface/tokenizers';
import { BlockEncoder } from './block-encoder.js';
import { BYTE_TO_CHARACTER, tokenTextToBytes } from './byte-level.js';
import { ControlTokenSplitter } from './control-token-splitter.js';
import type { Vocabulary } from './vocabulary.js';

/** Text to token ids and back. None of the encoders adds BOS: {@link ChatTemplate.encodeChat} does where the model asks for it. */
export interface Tokenizer {
  readonly vocabularySize: number;
  /** Plain text: control tokens in it are not recognised. Characters whose bytes the vocabulary lacks vanish, as in llama.cpp. */
  encode(text: string): number[];
  /** Text in which control tokens are recognised. Only for text that nobody else wrote. */
  encodeWithControlTokens(text: string): number[];
  /** The text of `tokens`; control tokens are rendered as nothing, bytes that are no UTF-8 as U+FFFD. */
  decode(tokens: readonly number[]): string;
  /** Bytes of one token: part of a character, or several; none for a control token. Throws RangeError for an id outside the vocabulary. */
  tokenBytes(token: number): Uint8Array;
  /** The same bytes in the characters that byte-level BPE vocabularies are written in; none for a control token. */
  byteLevelText(token: number): string;
  /** Whether only a chat template may write this token. */
  isControlToken(token: number): boolean;
  /** Token ids after which the model's turn is over (<|im_end|>, <|eot_id|> and the like), ascending. */
  readonly endOfTurnTokens: readonly number[];
  /** First token of a prompt where `addBos`. */
  readonly bosToken: number | undefined;
  readonly addBos: boolean;
}

/**
 * Longest word, in bytes, that is merged as one. Merging costs O(n log n) and some 200 bytes a character, so a
 * document of one unbroken run would take the process down; longer words are cut here. Real words, and even inlined
 * images of ordinary pages, are shorter, and their ids do not change.
 */
export const MAX_WORD_BYTES = 65_536;

/** The tokenizer of `vocabulary`. */
export function buildTokenizer(vocabulary: Vocabulary): Tokenizer {
  return new ByteLevelBpeTokenizer(vocabulary);
}

class ByteLevelBpeTokenizer implements Tokenizer {
  readonly vocabularySize: number;
  readonly endOfTurnTokens: readonly number[];
  readonly bosToken: number | undefined;
  readonly addBos: boolean;
  private readonly words: PackageTokenizer;
  private readonly blocks = new BlockEncoder((text) => this.encodeWords(text));
  private readonly control: ControlTokenSplitter;
  private readonly userDefined: ControlTokenSplitter;
  private readonly controlIds: ReadonlySet<number>;
  private readonly userDefinedIds: ReadonlySet<number>;
  private readonly tokens: readonly string[];

  constructor(vocabulary: Vocabulary) {
    this.tokens = vocabulary.tokens;
    this.vocabularySize = vocabulary.tokens.length;
    this.endOfTurnTokens = vocabulary.endOfTurnTokens;
    this.bosToken = vocabulary.bosToken;
    this.addBos = vocabulary.addBos;
    this.control = new ControlTokenSplitter(vocabulary.controlTokens);
    this.userDefined = new ControlTokenSplitter(vocabulary.userDefinedTokens);
    this.controlIds = new Set(vocabulary.controlTokens.values());
    this.userDefinedIds = new Set(vocabulary.userDefinedTokens.values());
    this.words = new PackageTokenizer(tokenizerJson(vocabulary, this.controlIds), {});
  }

  encode(text: string): number[] {
    return this.userDefined.encode(text, (run) => this.blocks.encode(run));
  }

  encodeWithControlTokens(text: string): number[] {
    return this.control.encode(text, (run) => this.encode(run));
  }

  decode(tokens: readonly number[]): string {
    return new TextDecoder('utf-8', { ignoreBOM: true }).decode(
      Buffer.concat(tokens.map((token) => this.tokenBytes(token))),
    );
  }

  tokenBytes(token: number): Uint8Array {
    const text = this.tokens[token];
    if (text === undefined) throw new RangeError(`token ${token} is outside the vocabulary of ${this.tokens.length}`);
    if (this.controlIds.has(token)) return new Uint8Array(0);
    return this.userDefinedIds.has(token) ? new TextEncoder().encode(text) : tokenTextToBytes(text);
  }

  byteLevelText(token: number): string {
    return [...this.tokenBytes(token)].map((byte) => BYTE_TO_CHARACTER[byte]).join('');
  }

  isControlToken(token: number): boolean {
    return this.controlIds.has(token);
  }

  /** Text without any special token. */
  private encodeWords(text: string): number[] {
    return text === '' ? [] : this.words.encode(text, { add_special_tokens: false }).ids;
  }
}

/** The vocabulary as the tokenizer.json that @huggingface/tokenizers builds from. */
function tokenizerJson(vocabulary: Vocabulary, controlIds: ReadonlySet<number>): object {
  // control tokens are left out, so that no text can merge into one
  const entries = vocabulary.tokens.map((text, id) => [text, id] as const).filter(([, id]) => !controlIds.has(id));
  const splits = vocabulary.preTokenizer.patterns.map((pattern) => ({
    type: 'Split',
    pattern: { Regex: pattern },
    behavior: 'Isolated',
    invert: false,
  }));
  return {
    version: '1.0',
    added_tokens: [],
    normalizer: null,
    pre_tokenizer: {
      type: 'Sequence',
      pretokenizers: [
        ...splits,
        { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
        // after the bytes are spelled out, so that no cut can fall inside a surrogate pair
        { type: 'FixedLength', length: MAX_WORD_BYTES },
      ],
    },
    post_processor: null,
    decoder: { type: 'ByteLevel', add_prefix_space: false, trim_offsets: true, use_regex: false },
    model: {
      type: 'BPE',
      dropout: null,
      unk_token: null,
      continuing_subword_prefix: null,
      end_of_word_suffix: null,
      fuse_unk: false,
      byte_fallback: false,
      ignore_merges: vocabulary.preTokenizer.ignoreMerges,
      vocab: Object.fromEntries(entries),
      merges: vocabulary.merges,
    },
  };
}
