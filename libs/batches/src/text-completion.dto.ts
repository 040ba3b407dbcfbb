import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  Equals,
  IsArray,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Max,
  Min,
  ValidateBy,
  ValidateNested,
} from 'class-validator';
import {
  CompressionDto,
  IsLogitBias,
  IsPenalty,
  IsShare,
  IsTokenCount,
  MAX_CHOICES,
  MAX_STOP_STRINGS,
} from './chat-completion.dto.js';
import type { CompressionRequest } from './compression.js';
import type { Truncation } from './truncation.js';

/** What of a request to `/v1/completions` Longhaul acts on. */
export interface TextCompletionRequest {
  model: string;
  /** Text, or token ids, each answered by itself. */
  prompt: (string | number[])[];
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  seed?: number;
  stop?: string[];
  /** How many alternatives to report for each token. */
  logprobs?: number;
  n?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  /** By token id. */
  logit_bias?: Record<string, number>;
  compression?: CompressionRequest;
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
export class TextCompletionDto {
  @IsString()
  @IsNotEmpty()
  model!: string;

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
  @IsTokenCount()
  max_tokens?: number;

  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(2)
  temperature?: number;

  @IsOptional()
  @IsShare()
  top_p?: number;

  @IsOptional()
  @IsInt()
  @Min(Number.MIN_SAFE_INTEGER)
  @Max(Number.MAX_SAFE_INTEGER)
  seed?: number;

  /** A plain string is a list of one. */
  @IsOptional()
  @Transform(({ value }: { value: unknown }) => (typeof value === 'string' ? [value] : value))
  @IsArray({ message: `stop must be a string or a list of at most ${MAX_STOP_STRINGS} strings` })
  @ArrayMaxSize(MAX_STOP_STRINGS, { message: `stop must be at most ${MAX_STOP_STRINGS} strings` })
  @IsString({ each: true, message: 'stop must hold strings only' })
  @IsNotEmpty({ each: true, message: 'stop must not hold an empty string' })
  stop?: string[];

  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(MAX_LOGPROBS)
  logprobs?: number;

  @IsOptional()
  @IsInt()
  @Min(1)
  @Max(MAX_CHOICES)
  n?: number;

  @IsOptional()
  @IsPenalty()
  frequency_penalty?: number;

  @IsOptional()
  @IsPenalty()
  presence_penalty?: number;

  @IsOptional()
  @IsLogitBias()
  logit_bias?: Record<string, number>;

  @IsOptional()
  @IsInt()
  best_of?: number;

  @IsOptional()
  @Equals(false, { message: 'echo must be false: Longhaul does not repeat the prompt' })
  echo?: boolean;

  @IsOptional()
  @Equals(false, { message: 'stream must be false: an item of a batch is not streamed' })
  stream?: boolean;

  @IsOptional()
  @IsObject({ message: 'compression must be an object {"policy": "kvmerger", "budget": 0.35}' })
  @ValidateNested()
  @Type(() => CompressionDto)
  compression?: CompressionDto;

  @IsOptional()
  @IsIn(TEXT_TRUNCATIONS, {
    message:
      `truncation must be one of ${TEXT_TRUNCATIONS.join(', ')} here: ` +
      "'map_reduce' needs a document and a question about it, which only /v1/chat/completions tells apart",
  })
  truncation?: TextTruncation;
}
