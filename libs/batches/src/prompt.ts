import type { ChatCompletionRequest } from './chat-completion.dto.js';
import { MAX_BYTES_PER_TOKEN, type TextMessage } from './documents.js';
import type { ItemOptions, PlannedPart } from './group-plan.js';
import { ApiError } from './openai-error.js';
import type { DocumentTokenizer } from './tokenized-document.js';
import type { TruncationUsage } from './truncation.js';

/** Turns chats into the token ids that the model is given. */
export interface PromptEncoder extends DocumentTokenizer {
  /** Positions the model has. */
  readonly contextLength: number;
  /** Tokens the model has. */
  readonly vocabularySize: number;
  /** The whole chat through the model's template, ready for the answer; without blocking the event loop. */
  encode(messages: readonly TextMessage[]): Promise<Int32Array>;
}

/** A request whose prompt is token ids, certain to fit the context. */
export interface EncodedRequest {
  readonly ids: Int32Array;
  readonly options: ItemOptions;
  /** Where the document did not fit. */
  readonly truncation?: TruncationUsage;
  /** Where this is one of the parts of a document. */
  readonly part?: PlannedPart;
}

/**
 * Encodes a request and checks that prompt and answer fit.
 * @throws ApiError (400)
 */
export async function encodeRequest(
  request: ChatCompletionRequest,
  messages: readonly TextMessage[],
  encoder: PromptEncoder,
): Promise<EncodedRequest> {
  const options = optionsOf(request, encoder);
  // Without a limit the answer gets what is left, and something must be left.
  const answer = answerLimit(request) ?? 1;
  const { contextLength } = encoder;
  // Encoding takes time: what is far too long is refused before.
  const fewest = fewestTokens(messages);
  if (fewest > contextLength) throw contextOverflow(contextLength, fewest, answer, 'at least ');
  const ids = await encoder.encode(messages);
  if (ids.length + answer > contextLength) throw contextOverflow(contextLength, ids.length, answer);
  return { ids, options };
}

/**
 * What of a request matters beside its messages.
 * @throws ApiError (400) where the model has no such tokens, or not as many
 */
export function optionsOf(
  request: ChatCompletionRequest,
  { contextLength, vocabularySize }: Pick<PromptEncoder, 'contextLength' | 'vocabularySize'>,
): ItemOptions {
  const { messages: _messages, compression: _compression, truncation: _truncation, ...options } = request;
  const limit = request.max_completion_tokens === undefined ? 'max_tokens' : 'max_completion_tokens';
  const asked = request[limit];
  if (asked !== undefined && asked > contextLength) {
    const found = `${limit} is too large: ${asked}. This model's maximum context length is ${contextLength} tokens.`;
    throw ApiError.invalid(found, limit, 'invalid_value');
  }
  checkBiasedTokens(request.logit_bias, vocabularySize);
  return options;
}

/** Most tokens of the answer; undefined where the request names no limit. */
export const answerLimit = (request: ItemOptions): number | undefined =>
  request.max_completion_tokens ?? request.max_tokens;

/** @throws ApiError (400) that names the first token that is none */
export function checkBiasedTokens(bias: Readonly<Record<string, number>> | undefined, vocabularySize: number): void {
  const unknown = Object.keys(bias ?? {}).find((token) => Number(token) >= vocabularySize);
  if (unknown === undefined) return;
  const found = `Invalid 'logit_bias': the model has the tokens 0 to ${vocabularySize - 1}, found ${unknown}.`;
  throw ApiError.invalid(found, 'logit_bias', 'invalid_value');
}

/** A number of tokens that the messages have for certain: no token spans the end of a word. */
export function fewestTokens(messages: readonly Pick<TextMessage, 'content'>[]): number {
  let words = 0;
  let characters = 0;
  for (const { content } of messages) {
    for (const _ of content.matchAll(/[A-Za-z][ \n]/g)) words++;
    characters += content.length;
  }
  return Math.max(words, Math.floor(characters / MAX_BYTES_PER_TOKEN));
}

/** The words are those of the engine's ContextOverflowError, which the batches cannot import. */
export const contextOverflow = (
  contextLength: number,
  promptTokens: number,
  maxTokens: number,
  atLeast = '',
  param = 'messages',
): ApiError =>
  ApiError.invalid(
    `This model's maximum context length is ${contextLength} tokens, but ${atLeast}${promptTokens + maxTokens} were requested ` +
      `(${atLeast}${promptTokens} in the prompt, ${maxTokens} for the answer). Shorten the document or lower max_completion_tokens.`,
    param,
    'context_length_exceeded',
  );
