import 'reflect-metadata';
import { plainToInstance, Transform, Type } from 'class-transformer';
import {
  ArrayMaxSize,
  ArrayNotEmpty,
  IsArray,
  IsBoolean,
  IsIn,
  IsInt,
  IsNotEmpty,
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
import { IsTokenCount, SamplingDto, type SamplingRequest } from './sampling.dto.js';
import { TRUNCATIONS, type Truncation } from './truncation.js';

/** What of a chat completion request Longhaul acts on; the body of one batch line. */
export interface ChatCompletionRequest extends SamplingRequest {
  messages: ChatMessage[];
  max_completion_tokens?: number;
  logprobs?: boolean;
  top_logprobs?: number;
  response_format?: ResponseFormat;
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
export const MAX_TOP_LOGPROBS = 20;

const RESPONSE_FORMATS = ['text', 'json_object', 'json_schema'] as const;

/** What file systems take. */
export const MAX_FILENAME_LENGTH = 255;

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

class JsonSchemaFormatDto {
  @Matches(/^[\w-]{1,64}$/, { message: 'name must be 1 to 64 letters, digits, underscores and dashes' })
  name!: string;

  @IsOptional()
  @IsString()
  description?: string;

  /** A JSON schema; docs/openai-compatibility.md lists its keywords. */
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
export class ChatCompletionDto extends SamplingDto {
  static readonly verbatim: readonly string[] = ['response_format.json_schema.schema'];

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
  @IsBoolean()
  logprobs?: boolean;

  @IsOptional()
  @IsInt()
  @Min(0)
  @Max(MAX_TOP_LOGPROBS)
  top_logprobs?: number;

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
