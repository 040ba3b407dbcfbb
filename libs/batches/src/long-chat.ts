import type { ChatCompletionRequest } from './chat-completion.dto.js';
import type { CompressionChoice } from './compression.js';
import { type DocumentFrame, fillFrame, frameDocument } from './document-frame.js';
import type { DocumentReader } from './documents.js';
import type { ItemOptions } from './group-plan.js';
import { type LongDocuments, type LongItem, type LongPrompt, mapTokens } from './long-documents.js';
import { mapText } from './map-reduce-prompts.js';
import { ApiError } from './openai-error.js';
import { answerLimit, type EncodedRequest, optionsOf, type PromptEncoder } from './prompt.js';
import { shorteningOf } from './truncation.js';

/** A chat whose document may be too long. */
export interface LongChat extends LongPrompt {
  readonly frame: DocumentFrame;
  readonly isAsked: boolean;
  readonly options: ItemOptions;
}

/**
 * Tells a chat's document apart; undefined where it asks for no truncation.
 * @throws ApiError (400)
 */
export async function longChat(
  request: ChatCompletionRequest,
  documents: DocumentReader,
  encoder: PromptEncoder,
): Promise<LongChat | undefined> {
  const mode = shorteningOf(request);
  if (mode === undefined) return undefined;
  // As many characters as the context has tokens are, roughly, a quarter of it: no question is longer.
  const { frame, document, isAsked } = frameDocument(await documents.parted(request), encoder.contextLength);
  return {
    mode,
    document,
    frame,
    isAsked,
    options: optionsOf(request, encoder),
    answer: answerLimit(request),
    param: 'messages',
    encode: (text) => encoder.encode(fillFrame(frame, text)),
  };
}

/**
 * As `LongDocuments.measure`.
 * @throws ApiError (400) also where there is no question to ask of each part
 */
export async function measureChat(chat: LongChat, long: LongDocuments): Promise<LongItem | undefined> {
  const item = await long.measure(chat);
  if (item === undefined || chat.mode !== 'map_reduce' || chat.isAsked) return item;
  const found =
    "truncation 'map_reduce' needs a question to ask of each part of the document, and found none. Send the question as a " +
    'message, a content part, or at least a last paragraph of its own.';
  throw ApiError.invalid(found, 'messages', 'invalid_value');
}

/** The prompt of a chat that is too long, without the middle of its document. */
export async function encodeCut(chat: LongChat, item: LongItem, long: LongDocuments): Promise<EncodedRequest> {
  const { text, kept } = await long.middle(chat, item);
  const truncation = { mode: chat.mode, tokens: await long.tokensOf(chat.document), kept };
  return { ids: await chat.encode(text), options: chat.options, truncation };
}

/**
 * The prompt of one part of the document of a chat that is too long.
 * @param part from 0
 * @param compression that was asked for
 */
export async function encodePart(
  chat: LongChat,
  item: LongItem,
  long: LongDocuments,
  part: number,
  compression: CompressionChoice | undefined,
): Promise<EncodedRequest> {
  const { frame, options, mode } = chat;
  const parts = await long.parts(chat, item);
  const { text, tokens: kept } = parts[part]!;
  const tokens = await long.tokensOf(chat.document);
  const combination = { frame, request: options, tokens, ...(compression && { compression }) };
  return {
    ids: await chat.encode(mapText(text, part, parts.length)),
    options: mapOptions(options, long.contextLength),
    truncation: { mode, tokens, kept },
    part: { index: part, of: parts.length, combination },
  };
}

/** What is asked of each part: one answer as plain text, short enough that several can be combined. */
export function mapOptions(options: ItemOptions, contextLength: number): ItemOptions {
  const { n, logprobs, top_logprobs, response_format, max_tokens, max_completion_tokens, ...asked } = options;
  return { ...asked, max_completion_tokens: mapTokens(max_completion_tokens ?? max_tokens, contextLength) };
}
