import 'reflect-metadata';
import { policyNames, UnknownPolicyError } from '@app/kv-policy';
import { plainToInstance, Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayNotEmpty,
  Equals,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
  IsNumber,
  IsObject,
  IsOptional,
  IsString,
  Matches,
  Max,
  MaxLength,
  Min,
  ValidateBy,
  ValidateIf,
  ValidateNested,
} from 'class-validator';
import { type CompressionRequest, QUESTIONS, type Questions, READINGS, type Reading } from './compression.js';
import { TRUNCATIONS, type Truncation } from './truncation.js';

/** What of a chat completion request Longhaul acts on; the body of one batch line. */
export interface ChatCompletionRequest {
  model: string;
  messages: ChatMessage[];
  max_completion_tokens?: number;
  max_tokens?: number;
  temperature?: number;
  top_p?: number;
  seed?: number;
  stop?: string | string[];
  logprobs?: boolean;
  top_logprobs?: number;
  /** Answers to the same prompt; default 1. */
  n?: number;
  frequency_penalty?: number;
  presence_penalty?: number;
  /** By token id. */
  logit_bias?: Record<string, number>;
  response_format?: ResponseFormat;
  compression?: CompressionRequest;
  truncation?: Truncation;
}

/** What the answer must be; JSON is held to by constrained decoding. */
export type ResponseFormat =
  | { type: 'text' }
  | { type: 'json_object' }
  | { type: 'json_schema'; json_schema: { name: string; schema: object; strict?: boolean } };

export interface ChatMessage {
  role: ChatRole;
  content: string | ContentPart[];
}

export type ChatRole = (typeof CHAT_ROLES)[number];

export type ContentPart = { type: 'text'; text: string } | { type: 'file'; file: DocumentReference };

/** A document that was uploaded before, or one in base64 inside the request itself, as a data URL or plain. */
export type DocumentReference =
  | { file_id: string; file_data?: undefined }
  | { file_data: string; file_id?: undefined; filename?: string };

export const CHAT_ROLES = ['system', 'developer', 'user', 'assistant'] as const;
/** As OpenAI's. */
export const MAX_CHOICES = 128;
/** As OpenAI's. */
export const MAX_STOP_STRINGS = 4;
/** As OpenAI's. */
export const MAX_TOP_LOGPROBS = 20;

const RESPONSE_FORMATS = ['text', 'json_object', 'json_schema'] as const;

/** As OpenAI's. */
const MAX_PENALTY = 2;
/** As OpenAI's. */
const MAX_BIAS = 100;
/** As OpenAI's. */
const MAX_BIASED_TOKENS = 1024;

/** What file systems take. */
export const MAX_FILENAME_LENGTH = 255;

/** A number in (0, 1]. */
export const IsShare = (): PropertyDecorator =>
  ValidateBy({
    name: 'isShare',
    validator: {
      validate: (value: unknown) => typeof value === 'number' && value > 0 && value <= 1,
      defaultMessage: () => '$property must be a number greater than 0 and at most 1',
    },
  });

/** A number from -2 to 2. */
export const IsPenalty = (): PropertyDecorator =>
  ValidateBy({
    name: 'isPenalty',
    validator: {
      validate: (value: unknown) => typeof value === 'number' && Math.abs(value) <= MAX_PENALTY,
      defaultMessage: () => `$property must be a number from -${MAX_PENALTY} to ${MAX_PENALTY}`,
    },
  });

/** Token ids and a number from -100 to 100 each. */
export const IsLogitBias = (): PropertyDecorator =>
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

class FileReferenceDto {
  @ValidateIf(({ file_id, file_data }: FileReferenceDto) => file_id !== undefined || file_data === undefined)
  @IsString()
  @IsNotEmpty()
  file_id?: string;

  @ValidateIf(({ file_data }: FileReferenceDto) => file_data !== undefined)
  @ValidateBy({
    name: 'isOnlyDocument',
    validator: {
      validate: (_value, args) => (args?.object as FileReferenceDto | undefined)?.file_id === undefined,
      defaultMessage: () => 'give file_id or file_data, not both',
    },
  })
  @IsString()
  @IsNotEmpty()
  file_data?: string;

  @IsOptional()
  @IsString()
  @MaxLength(MAX_FILENAME_LENGTH, { message: `filename must be at most ${MAX_FILENAME_LENGTH} characters` })
  filename?: string;
}

class ContentPartDto {
  @IsIn(['text', 'file'], {
    message: "type must be 'text' or 'file': other content parts (images, audio) are not supported by Longhaul",
  })
  type!: 'text' | 'file';

  @ValidateIf((part: ContentPartDto) => part.type === 'text')
  @IsString()
  text?: string;

  @ValidateIf((part: ContentPartDto) => part.type === 'file')
  @IsObject({ message: 'file must be an object {"file_id": "..."} or {"file_data": "..."}' })
  @ValidateNested()
  @Type(() => FileReferenceDto)
  file?: FileReferenceDto;
}

class ChatMessageDto {
  @IsIn(CHAT_ROLES, { message: `role must be one of ${CHAT_ROLES.join(', ')}` })
  role!: ChatRole;

  /** A plain string is one text part. */
  @Transform(({ value }: { value: unknown }) => {
    if (typeof value === 'string') return [plainToInstance(ContentPartDto, { type: 'text', text: value })];
    return Array.isArray(value) ? value.map((part: unknown) => plainToInstance(ContentPartDto, part)) : value;
  })
  @IsArray({ message: 'content must be a string or a list of content parts' })
  @ArrayNotEmpty({ message: 'content must have at least one part' })
  @IsObject({ each: true, message: 'every part of content must be an object' })
  @ValidateNested({ each: true })
  content!: ContentPartDto[];

  /** Templates know no names; nor does any model here refuse, cite or call, so an answer that is sent back has none of it. */
  @IsOptional()
  @IsString()
  name?: string;

  @IsOptional()
  @IsString()
  refusal?: string;

  @IsOptional()
  @IsArray()
  annotations?: unknown[];

  @IsOptional()
  @ArrayMaxSize(0, { message: 'tool_calls must be empty: tools are not supported by Longhaul' })
  @IsArray()
  tool_calls?: unknown[];
}

/** Also the shape of a batch's own `compression`. */
export class CompressionDto {
  @IsOptional()
  @IsIn(policyNames, { message: ({ value }) => new UnknownPolicyError(String(value), policyNames).message })
  policy?: string;

  @IsOptional()
  @IsShare()
  budget?: number;

  @IsOptional()
  @IsIn(QUESTIONS, { message: `questions must be one of ${QUESTIONS.join(', ')}` })
  questions?: Questions;

  @IsOptional()
  @IsIn(READINGS, { message: `reading must be one of ${READINGS.join(', ')}` })
  reading?: Reading;
}

class JsonSchemaFormatDto {
  @Matches(/^[\w-]{1,64}$/, { message: 'name must be 1 to 64 letters, digits, underscores and dashes' })
  name!: string;

  @IsOptional()
  @IsString()
  description?: string;

  /** Checked apart (`checkJsonSchema`). */
  @IsObject({ message: 'schema must be a JSON schema: an object' })
  schema!: object;

  @IsOptional()
  @IsBoolean()
  strict?: boolean;
}

class ResponseFormatDto {
  @IsIn(RESPONSE_FORMATS, { message: `type must be one of ${RESPONSE_FORMATS.join(', ')}` })
  type!: (typeof RESPONSE_FORMATS)[number];

  @ValidateIf((format: ResponseFormatDto) => format.type === 'json_schema' || format.json_schema !== undefined)
  @ValidateBy({
    name: 'isOfJsonSchema',
    validator: {
      validate: (_value, args) => (args?.object as ResponseFormatDto | undefined)?.type === 'json_schema',
      defaultMessage: () => "json_schema goes with the type 'json_schema' only",
    },
  })
  @IsObject({ message: 'json_schema must be an object {"name": "...", "schema": {...}}' })
  @ValidateNested()
  @Type(() => JsonSchemaFormatDto)
  json_schema?: JsonSchemaFormatDto;
}

/** The fields of a chat completion request and what each must be. Fields that are not here are refused by name. */
export class ChatCompletionDto {
  @IsString()
  @IsNotEmpty()
  model!: string;

  @IsArray()
  @ArrayNotEmpty({ message: 'messages must have at least one message' })
  @IsObject({ each: true, message: 'every message must be an object' })
  @ValidateNested({ each: true })
  @Type(() => ChatMessageDto)
  messages!: ChatMessageDto[];

  @IsOptional()
  @IsTokenCount()
  max_completion_tokens?: number;

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
  @IsBoolean()
  logprobs?: boolean;

  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(MAX_TOP_LOGPROBS)
  top_logprobs?: number;

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

  /** What becomes of a document that does not fit the context. */
  @IsOptional()
  @IsIn(TRUNCATIONS, { message: `truncation must be one of ${TRUNCATIONS.join(', ')}` })
  truncation?: Truncation;

  @IsOptional()
  @IsObject({ message: 'response_format must be an object {"type": "json_object"}' })
  @ValidateNested()
  @Type(() => ResponseFormatDto)
  response_format?: ResponseFormatDto;
}
