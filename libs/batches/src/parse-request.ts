import { type ValidationError, validateSync } from 'class-validator';
import { ChatCompletionDto, type ChatCompletionRequest } from './chat-completion.dto.js';
import { CompressionDto } from './compression.dto.js';
import type { CompressionRequest } from './compression.js';
import { isTooDeep } from './json-depth.js';
import { checkJsonSchema } from './json-schema.js';
import { ApiError } from './openai-error.js';
import { instanceOf, memberPath, type RequestClass, unknownParameter } from './request-instance.js';
import { TextCompletionDto, type TextCompletionRequest } from './text-completion.dto.js';
import { brokenTextAt } from './unicode-text.js';

/** Fields that OpenAI clients send and that change no answer here. */
const IGNORED: readonly string[] = [
  'metadata',
  'prompt_cache_key',
  'prompt_cache_options',
  'prompt_cache_retention',
  'safety_identifier',
  'service_tier',
  'store',
  'user',
];

/** OpenAI's fields that Longhaul does not act on, and the values, as JSON, that ask for nothing. */
const UNSUPPORTED: Readonly<Record<string, readonly string[]>> = {
  audio: [],
  function_call: ['"none"'],
  functions: [],
  modalities: ['["text"]'],
  moderation: [],
  parallel_tool_calls: [],
  prediction: [],
  reasoning_effort: ['"none"'],
  stream_options: [],
  tool_choice: ['"none"', '"auto"'],
  tools: [],
  verbosity: ['"medium"'],
  web_search_options: [],
};

/** The same for `/v1/completions`. */
const UNSUPPORTED_TEXT: Readonly<Record<string, readonly string[]>> = {
  stream_options: [],
  suffix: ['""'],
};

/**
 * The validated body of `POST /v1/chat/completions` or of a batch line. Null fields count as absent, as OpenAI's clients
 * send them.
 * @throws ApiError (400) that names the first offending field, as a path like `messages[0].content[1].text`.
 */
export function parseChatCompletion(body: unknown): ChatCompletionRequest {
  const request = validated(ChatCompletionDto, actedOn(body, 'a chat completion request', UNSUPPORTED), '');
  if (request.max_tokens !== undefined && request.max_completion_tokens !== undefined) {
    throw ApiError.invalid('Give max_completion_tokens or max_tokens, not both.', 'max_tokens');
  }
  if (request.top_logprobs !== undefined && request.logprobs !== true) {
    throw ApiError.invalid('top_logprobs needs logprobs to be true.', 'top_logprobs');
  }
  const { schema, strict = false } = request.response_format?.json_schema ?? {};
  if (schema) checkJsonSchema(schema, 'response_format.json_schema.schema', strict);
  const { stream: _stream, ...used } = request;
  return used as ChatCompletionRequest;
}

/**
 * The validated body of `POST /v1/completions` or of a batch line.
 * @throws ApiError (400)
 */
export function parseTextCompletion(body: unknown): TextCompletionRequest {
  const request = validated(TextCompletionDto, actedOn(body, 'a completion request', UNSUPPORTED_TEXT), '');
  const { best_of: bestOf, echo: _echo, stream: _stream, ...used } = request;
  if (bestOf !== undefined && bestOf !== (request.n ?? 1)) {
    throw ApiError.invalid(
      'best_of must be what n is: Longhaul gives every answer that it makes.',
      'best_of',
      'invalid_value',
    );
  }
  return used as TextCompletionRequest;
}

/** The fields of a body that are there and matter. */
function actedOn(
  body: unknown,
  what: string,
  unsupported: Readonly<Record<string, readonly string[]>>,
): Record<string, unknown> {
  if (!isRecord(body)) throw ApiError.invalid(`The body must be a JSON object: ${what}.`, null);
  if (isTooDeep(body)) throw ApiError.tooDeep();
  const broken = brokenTextAt(body);
  if (broken !== undefined) throw ApiError.brokenText(broken);
  const fields: [string, unknown][] = [];
  for (const [name, value] of Object.entries(body)) {
    if (value === null || IGNORED.includes(name)) continue;
    if (Object.hasOwn(unsupported, name)) {
      if (isEmpty(value) || unsupported[name]?.includes(JSON.stringify(value))) continue;
      throw ApiError.invalid(`${name} is not supported by Longhaul. Leave it out.`, name, 'unsupported_parameter');
    }
    fields.push([name, value]);
  }
  return Object.fromEntries(fields);
}

/**
 * The validated `compression` of a whole batch; undefined where none was asked.
 * @throws ApiError (400)
 */
export function parseCompressionRequest(value: unknown): CompressionRequest | undefined {
  if (value === undefined || value === null) return undefined;
  if (!isRecord(value)) {
    const found = 'Invalid \'compression\': must be an object {"policy": "kvmerger", "budget": 0.35}.';
    throw ApiError.invalid(found, 'compression', 'invalid_value');
  }
  return { ...validated(CompressionDto, value, 'compression') } as CompressionRequest;
}

/**
 * A request's fields as an instance of the class that says what they must be.
 * @param path of the fields in the request
 * @throws ApiError (400) that names the first offending field
 */
export function validated<T extends object>(type: RequestClass<T>, fields: object, path: string): T {
  const instance = instanceOf(type, fields, path);
  const errors = validateSync(instance, { whitelist: true, forbidNonWhitelisted: true, forbidUnknownValues: false });
  const error = mostTelling(errors, fields);
  if (error) throw firstOffence(error, fields, path);
  return instance;
}

/**
 * The first error in the body's own order, what is missing last; class-validator's order is that of the classes, and their
 * ancestors' fields come last. A wrong value comes before an unknown field: `image_url` is unknown only because its part's
 * `type` is not supported.
 */
function mostTelling(errors: readonly ValidationError[], body: unknown): ValidationError | undefined {
  const ordered = inOrderOf(errors, body);
  return (
    ordered.find(({ value, constraints }) => value !== undefined && !constraints?.['whitelistValidation']) ?? ordered[0]
  );
}

/** Errors in the order in which a body has their fields, those of missing ones last. */
function inOrderOf(errors: readonly ValidationError[], body: unknown): ValidationError[] {
  const names = typeof body === 'object' && body !== null ? Object.keys(body) : [];
  const place = ({ property }: ValidationError): number =>
    names.includes(property) ? names.indexOf(property) : names.length;
  return [...errors].sort((a, b) => place(a) - place(b));
}

/** The innermost most telling failure of an error tree. */
function firstOffence(error: ValidationError, body: unknown, parent: string): Error {
  const path = memberPath(parent, error.property);
  const member = (body as Record<string, unknown> | null | undefined)?.[error.property];
  // A missing or mistyped value fails several validators at once; `nestedValidation` says the least of them.
  const failed = Object.entries(error.constraints ?? {}).filter(([name]) => name !== 'nestedValidation');
  const constraint = failed.at(-1);
  const child = mostTelling(error.children ?? [], member);
  if (!constraint && child) return firstOffence(child, member, path);
  if (constraint?.[0] === 'whitelistValidation') {
    return unknownParameter(path);
  }
  const missing = error.value === undefined;
  const message = (constraint?.[1] ?? `${path} is not valid`).replace(/\.$/, '');
  return missing ? ApiError.missing(path) : ApiError.invalid(`Invalid '${path}': ${message}.`, path, 'invalid_value');
}

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) ? value.length === 0 : isRecord(value) && Object.keys(value).length === 0;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
