// class-transformer's decorators need it, whoever imports this first.
import 'reflect-metadata';
import { Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  Equals,
  IsArray,
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
import { CompressionDto } from './compression.dto.js';
import type { CompressionRequest } from './compression.js';

/** What every kind of completion may be asked for. */
export interface SamplingRequest {
  model: string;
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  seed?: number;
  stop?: string | string[];
  /** Answers to the same prompt; default 1. */
  n?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  /** By token id. */
  logit_bias?: Record<string, number>;
  compression?: CompressionRequest;
}

/** As OpenAI's. */
const MAX_CHOICES = 128;
/** As OpenAI's. */
const MAX_STOP_STRINGS = 4;
/** As OpenAI's. */
const MAX_PENALTY = 2;
/** As OpenAI's. */
const MAX_BIAS = 100;
/** As OpenAI's. */
const MAX_BIASED_TOKENS = 1024;

/** A number from -2 to 2. */
const IsPenalty = (): PropertyDecorator =>
  ValidateBy({
    name: 'isPenalty',
    validator: {
      validate: (value: unknown) => typeof value === 'number' && Math.abs(value) <= MAX_PENALTY,
      defaultMessage: () => `$property must be a number from -${MAX_PENALTY} to ${MAX_PENALTY}`,
    },
  });

/** Token ids and a number from -100 to 100 each. */
const IsLogitBias = (): PropertyDecorator =>
  ValidateBy({
    name: 'isLogitBias',
    validator: {
      validate: (value: unknown) =>
        typeof value === 'object' &&
        value !== null &&
        !Array.isArray(value) &&
        Object.keys(value).length <= MAX_BIASED_TOKENS &&
        Object.entries(value).every(
          ([token, bias]) => /^\d{1,9}$/.test(token) && typeof bias === 'number' && Math.abs(bias) <= MAX_BIAS,
        ),
      defaultMessage: () =>
        `$property must be an object of at most ${MAX_BIASED_TOKENS} token ids and a number from -${MAX_BIAS} to ` +
        `${MAX_BIAS} each: {"50256": -100}`,
    },
  });

/** A whole number of at least one that arithmetic on it keeps exact. */
export const IsTokenCount = (): PropertyDecorator =>
  ValidateBy({
    name: 'isTokenCount',
    validator: {
      validate: (value: unknown) => Number.isSafeInteger(value) && (value as number) >= 1,
      defaultMessage: () => '$property must be a whole number of at least 1',
    },
  });

/** The fields of `SamplingRequest` and what each must be. Its heirs add those of one endpoint. */
export class SamplingDto {
  @IsString()
  @IsNotEmpty()
  model!: string;

  @IsOptional()
  @IsTokenCount()
  max_tokens?: number;

  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(2)
  temperature?: number;

  /** 0: the likeliest token alone. */
  @IsOptional()
  @IsNumber()
  @Min(0)
  @Max(1)
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
  @Min(1)
  @Max(MAX_CHOICES)
  n?: number;

  @IsOptional()
  @Equals(false, { message: 'stream must be false: an item of a batch is not streamed' })
  stream?: boolean;

  @IsOptional()
  @IsObject({ message: 'compression must be an object {"policy": "kvmerger", "budget": 0.35}' })
  @ValidateNested()
  @Type(() => CompressionDto)
  compression?: CompressionDto;
}
