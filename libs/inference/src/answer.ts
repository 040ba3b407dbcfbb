import { type Tokenizer, TokenTextDecoder } from '@app/gguf-model';
import { BiasedPrediction } from './biased-prediction.js';
import type { AnswerPiece, GeneratedToken, Generation, SamplingOptions } from './engine-port.js';
import { tokenLogprobs } from './logprobs.js';
import { createSampler, type FullPrediction, type Prediction, type PredictionNeeds, type Sampler } from './sampler.js';
import { StopStrings } from './stop-strings.js';
import type { TokenConstraint } from './token-constraint.js';
import { MaskedPrediction } from './token-mask.js';

/** What an answer is, without how long it took. */
export type AnswerText = Omit<Generation, 'suffixSeconds' | 'decodeSeconds'>;

/** One item's answer while it grows: picks its tokens and knows when it has ended. */
export class Answer {
  /** Set once the answer has ended: its turn ended, a stop string appeared, or `maxTokens` are there. */
  ended: AnswerText | undefined;
  /** What `take` reads of predictions. */
  readonly needs: PredictionNeeds;
  private readonly sample: Sampler;
  private readonly pieces: TokenTextDecoder;
  private readonly text: StopStrings;
  private readonly tokens: number[] = [];
  private readonly logprobs: GeneratedToken[] = [];
  /** Of the text and of `logprobs`, what `onPiece` was told. */
  private toldText = 0;
  private toldLogprobs = 0;
  private readonly masked = new MaskedPrediction();
  private readonly biased: BiasedPrediction | undefined;

  constructor(
    private readonly tokenizer: Tokenizer,
    private readonly sampling: SamplingOptions,
    private readonly onPiece?: (piece: AnswerPiece) => void,
    /** Settled whenever `take` is called. */
    readonly constraint?: TokenConstraint,
  ) {
    const { temperature, topLogprobs, bias } = sampling;
    this.needs = {
      temperature,
      logits: topLogprobs !== undefined || bias !== undefined || constraint !== undefined,
    };
    this.sample = createSampler(sampling);
    this.biased = sampling.bias && new BiasedPrediction(sampling.bias, sampling.temperature);
    this.pieces = new TokenTextDecoder(tokenizer);
    this.text = new StopStrings(sampling.stop);
  }

  /**
   * Picks the next token.
   * @param prediction has what `needs` asks for; not kept
   * @returns the token to go on with, unless the answer has `ended`
   */
  take(prediction: Prediction): number {
    const { topLogprobs, maxTokens } = this.sampling;
    const full = prediction as FullPrediction;
    const biased = this.biased?.apply(full) ?? full;
    const token = this.sample(this.constraint ? this.masked.restrict(biased, this.constraint.mask) : biased);
    if (this.tokenizer.endOfTurnTokens.includes(token)) {
      this.end('stop', this.text.push(this.pieces.end()));
      return token;
    }
    this.constraint?.accept(token);
    this.biased?.count(token);
    this.tokens.push(token);
    if (topLogprobs !== undefined) {
      this.logprobs.push(tokenLogprobs(full.logits, token, topLogprobs, this.tokenizer));
    }
    const stopped = this.text.push(this.pieces.push(token));
    if (stopped !== undefined) this.end('stop', stopped);
    else if (this.tokens.length === maxTokens) {
      const cut = this.text.push(this.pieces.end());
      this.end(cut === undefined ? 'length' : 'stop', cut);
    } else this.tell();
    return token;
  }

  private tell(): void {
    const { certain, all } = this.text;
    if (this.onPiece === undefined || certain <= this.toldText) return;
    this.onPiece({ text: all.slice(this.toldText, certain), logprobs: this.logprobs.slice(this.toldLogprobs) });
    this.toldText = certain;
    this.toldLogprobs = this.logprobs.length;
  }

  /** @param stopped the text before a stop string, where one was found */
  private end(finishReason: Generation['finishReason'], stopped: string | undefined): void {
    this.ended = {
      text: stopped ?? this.text.all,
      tokens: this.tokens,
      finishReason,
      ...(this.sampling.topLogprobs === undefined ? {} : { logprobs: this.logprobs }),
    };
  }
}
