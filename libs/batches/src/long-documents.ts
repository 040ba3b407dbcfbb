import { createHash } from 'node:crypto';
import { type DocumentPart, splitDocument } from './document-parts.js';
import { combineText, mapText } from './map-reduce-prompts.js';
import { cutMiddle, type MiddleCut } from './middle-cut.js';
import { ApiError } from './openai-error.js';
import { type DocumentTokenizer, type TokenizedDocument, tokenizeDocument } from './tokenized-document.js';
import type { Shortening } from './truncation.js';

/** A prompt whose document may be too long, and how it is made to fit then. */
export interface LongPrompt {
  readonly mode: Shortening;
  readonly document: string;
  /** Most tokens of the answer; undefined: as many as there is room for. */
  readonly answer: number | undefined;
  /** Field of the request that holds the prompt. */
  readonly param: string;
  /** The whole prompt, with a text in the document's place. */
  encode(text: string): Promise<Int32Array>;
}

/** What is known of a prompt that is too long. */
export interface LongItem {
  /** Equal where document and mode are. */
  readonly key: string;
  /** Tokens of the context that are not the document's. */
  readonly reserve: number;
}

/** Tokens that may appear where texts that were counted apart meet. */
const SEAM_TOKENS = 8;
/** Shares of the context: what an answer has at least where the request names no limit, and a document in any case. */
const SIXTEENTH = 16;
/** Share of the context that the answer to one part has at most, so that several can be combined. */
const EIGHTH = 8;
/** Reserves are rounded up to this share of the context. */
const STEP = 32;
/** Part numbers of this length are reckoned with. */
const MANY = 999_999;

/** Tokens of the answer to one part. */
export const mapTokens = (answer: number | undefined, contextLength: number): number =>
  Math.max(1, Math.min(answer ?? Math.floor(contextLength / SIXTEENTH), Math.floor(contextLength / EIGHTH)));

/** Tokens that are kept free for an answer. */
export const answerTokens = (answer: number | undefined, contextLength: number): number =>
  answer ?? Math.max(1, Math.floor(contextLength / SIXTEENTH));

/** Tokens of a combining prompt that answers may take. */
export const combinedTokens = (around: number, answer: number, contextLength: number): number =>
  contextLength - around - answer - SEAM_TOKENS;

/**
 * Brings documents that do not fit the context to a length that does. One for all prompts of a batch or a completion: a
 * document is tokenised, cut and split once while prompts about it follow each other.
 */
export class LongDocuments {
  private readonly counts = new Map<string, number>();
  private document: ({ readonly key: string } & TokenizedDocument) | undefined;
  private cut: ({ readonly of: string } & MiddleCut) | undefined;
  private split: { readonly of: string; readonly parts: readonly DocumentPart[] } | undefined;

  constructor(
    private readonly tokenizer: DocumentTokenizer,
    readonly contextLength: number,
  ) {}

  /**
   * What is known of a prompt that does not fit; undefined where it does.
   * @throws ApiError (400) where what is around the document leaves no room for it
   */
  async measure(prompt: LongPrompt): Promise<LongItem | undefined> {
    const { contextLength } = this;
    const { document, mode, answer } = prompt;
    const tokens = await this.tokensOf(document);
    const around = (await prompt.encode('')).length;
    const whole = around + tokens + (answer ?? 1);
    // Near the limit only the prompt as a whole can tell.
    if (whole <= contextLength - SEAM_TOKENS) return undefined;
    if (whole <= contextLength + SEAM_TOKENS) {
      if ((await prompt.encode(document)).length + (answer ?? 1) <= contextLength) return undefined;
    }
    const key = `${mode}:${keyOf(document)}`;
    if (mode === 'middle') {
      const reserve = around + answerTokens(answer, contextLength) + SEAM_TOKENS;
      this.checkRoom(prompt, reserve);
      return { key, reserve };
    }
    const mapped = mapTokens(answer, contextLength);
    const reserve = (await prompt.encode(mapText('', MANY, MANY))).length + mapped + SEAM_TOKENS;
    const labels = [0, 1].map(() => ({ first: MANY, last: MANY + 1, content: '' }));
    const combining = (await prompt.encode(combineText(labels, MANY))).length;
    // Two answers at least must fit one prompt, or they would never become fewer.
    const left = combinedTokens(combining, answerTokens(answer, contextLength), contextLength);
    this.checkRoom(prompt, Math.max(reserve, left < 2 * mapped ? contextLength : 0));
    return { key, reserve };
  }

  /** Tokens of the whole document. */
  async tokensOf(document: string): Promise<number> {
    const key = keyOf(document);
    const known = this.counts.get(key);
    if (known !== undefined) return known;
    const { ends } = await this.tokenized(document);
    return ends.length;
  }

  /** The document without its middle, for all prompts with the same `LongItem`. */
  async middle({ document }: LongPrompt, { key, reserve }: LongItem): Promise<MiddleCut> {
    const of = `${key}:${reserve}`;
    if (this.cut?.of !== of) {
      const tokenized = await this.tokenized(document);
      this.cut = { of, ...(await cutMiddle(tokenized, this.contextLength - reserve, this.tokenizer)) };
    }
    return this.cut;
  }

  /** The parts of the document, for all prompts with the same `LongItem`. */
  async parts({ document }: LongPrompt, { key, reserve }: LongItem): Promise<readonly DocumentPart[]> {
    const of = `${key}:${reserve}`;
    if (this.split?.of !== of) {
      const tokenized = await this.tokenized(document);
      this.split = { of, parts: await splitDocument(tokenized, this.contextLength - reserve, this.tokenizer) };
    }
    return this.split.parts;
  }

  private async tokenized(text: string): Promise<TokenizedDocument> {
    const key = keyOf(text);
    if (this.document?.key !== key) {
      this.document = { key, ...(await tokenizeDocument(text, this.tokenizer)) };
      this.counts.set(key, this.document.ends.length);
    }
    return this.document;
  }

  private checkRoom({ mode, param }: LongPrompt, reserve: number): void {
    const { contextLength } = this;
    if (contextLength - sharedReserve([reserve], contextLength)(reserve) >= contextLength / SIXTEENTH) return;
    throw ApiError.invalid(
      `truncation '${mode}' cannot make this request fit the model's context of ${contextLength} tokens: what is around the ` +
        'document, with the answer, leaves too little room for it. Shorten the question or lower max_completion_tokens.',
      param,
      'context_length_exceeded',
    );
  }
}

/**
 * The reserve that each of several prompts about one document gets, so that they share what is left of it: those of the
 * longest of them, as long as that costs no prompt more of the document than its own reserve again, or a sixteenth of the
 * context. Rounded up, so that other questions, in other batches and chats, find the same cut.
 * @returns the shared reserve of a reserve in the list
 */
export function sharedReserve(reserves: readonly number[], contextLength: number): (reserve: number) => number {
  const step = Math.max(1, Math.floor(contextLength / STEP));
  const least = Math.floor(contextLength / SIXTEENTH);
  const shared = new Map<number, number>();
  let bound = 0;
  for (const reserve of [...new Set(reserves)].sort((a, b) => b - a)) {
    if (bound - reserve > Math.max(least, reserve) || bound === 0) {
      bound = Math.max(least, Math.ceil(reserve / step) * step);
    }
    shared.set(reserve, bound);
  }
  return (reserve) => shared.get(reserve) ?? reserve;
}

/** The items with the reserves that they share, each with those about the same document. */
export function sharedReserves(items: readonly LongItem[], contextLength: number): (item: LongItem) => LongItem {
  const byKey = new Map<string, number[]>();
  for (const { key, reserve } of items) {
    const reserves = byKey.get(key);
    if (reserves) reserves.push(reserve);
    else byKey.set(key, [reserve]);
  }
  const shared = new Map([...byKey].map(([key, reserves]) => [key, sharedReserve(reserves, contextLength)]));
  return ({ key, reserve }) => ({ key, reserve: shared.get(key)?.(reserve) ?? reserve });
}

/** Of each text of a planning run; hashing a megabyte takes a millisecond. */
const keyOf = (text: string): string => createHash('sha1').update(text).digest('base64url');
