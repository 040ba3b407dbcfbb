import { Transform } from 'class-transformer';
import { ArrayMaxSize, Equals, IsIn, IsInt, IsOptional, Max, Min, ValidateBy } from 'class-validator';
import { SamplingDto, type SamplingRequest } from './sampling.dto.js';
import type { Truncation } from './truncation.js';

/** What of a request to `/v1/completions` Longhaul acts on. */
export interface TextCompletionRequest extends SamplingRequest {
  /** Text, or token ids, each answered by itself. */
  prompt: (string | number[])[];
  /** How many alternatives to report for each token. */
  logprobs?: number;
  truncation?: TextTruncation;
}

/** A plain text does not tell which of its words ask, so that there is nothing to ask each part. */
export type TextTruncation = Exclude<Truncation, 'map_reduce'>;
const TEXT_TRUNCATIONS: readonly TextTruncation[] = ['error', 'middle'];

/** As many as a batch of this endpoint's usual size; more of them are a batch. */
const MAX_PROMPTS = 128;
/** As OpenAI's for this endpoint. */
const MAX_LOGPROBS = 5;
/** As OpenAI's for this endpoint. */
export const DEFAULT_MAX_TOKENS = 16;

const isTokens = (value: unknown): value is number[] =>
  Array.isArray(value) && value.every((token) => Number.isSafeInteger(token) && token >= 0);

const isPrompt = (value: unknown): boolean => typeof value === 'string' || (isTokens(value) && value.length > 0);

/** The fields of a request to `/v1/completions` and what each must be. Fields that are not here are refused by name. */
export class TextCompletionDto extends SamplingDto {
  /** One prompt is a list of one. */
  @Transform(({ value }: { value: unknown }) =>
    typeof value === 'string' || (isTokens(value) && value.length > 0) ? [value] : value,
  )
  @ValidateBy({
    name: 'isPromptList',
    validator: {
      validate: (value) => Array.isArray(value) && value.length > 0 && value.every(isPrompt),
      defaultMessage: () => 'prompt must be a string, a list of strings, a list of token ids, or a list of such lists',
    },
  })
  @ArrayMaxSize(MAX_PROMPTS, { message: `prompt must be at most ${MAX_PROMPTS} prompts` })
  prompt!: (string | number[])[];

  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(MAX_LOGPROBS)
  logprobs?: number;

  @IsOptional()
  @IsInt()
  best_of?: number;

  @IsOptional()
  @Equals(false, { message: 'echo must be false: Longhaul does not repeat the prompt' })
  echo?: boolean;

  @IsOptional()
  @IsIn(TEXT_TRUNCATIONS, {
    message:
      `truncation must be one of ${TEXT_TRUNCATIONS.join(', ')} here: ` +
      "'map_reduce' needs a document and a question about it, which only /v1/chat/completions tells apart",
  })
  truncation?: TextTruncation;
}
