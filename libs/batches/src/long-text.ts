import { fillFrame, frameDocument } from './document-frame.js';
import type { LongDocuments, LongItem, LongPrompt } from './long-documents.js';
import { sharedReserve } from './long-documents.js';
import type { EncodedRequest } from './prompt.js';
import { DEFAULT_MAX_TOKENS, type TextCompletionRequest } from './text-completion.dto.js';
import type { TextEncoder } from './text-plan.js';

/** Prompts of a text completion that are too long, by their position; undefined for one that fits. */
export type LongPrompts = readonly (LongItem | undefined)[];

/**
 * As `LongDocuments.measure`, of each prompt. Token ids are not measured: they are cut as they are.
 * @throws ApiError (400)
 */
export async function measureText(
  request: TextCompletionRequest,
  encoder: TextEncoder,
  long: LongDocuments,
): Promise<LongPrompts> {
  const items: (LongItem | undefined)[] = [];
  for (const [i, prompt] of request.prompt.entries()) {
    const isCut = request.truncation === 'middle' && typeof prompt === 'string';
    items.push(isCut ? await long.measure(longText(prompt, textParam(request, i), request, encoder)) : undefined);
  }
  return items;
}

/** The prompt without the middle of its document. */
export async function cutText(
  prompt: string,
  item: LongItem,
  request: TextCompletionRequest,
  encoder: TextEncoder,
  long: LongDocuments,
): Promise<Pick<EncodedRequest, 'ids' | 'truncation'>> {
  const text = longText(prompt, 'prompt', request, encoder);
  const cut = await long.middle(text, item);
  const tokens = await long.tokensOf(text.document);
  return { ids: await text.encode(cut.text), truncation: { mode: 'middle', tokens, kept: cut.kept } };
}

/** Token ids without their middle, where they do not fit. */
export function cutTokens(prompt: readonly number[], answer: number, contextLength: number): number[] | undefined {
  if (prompt.length + answer <= contextLength) return undefined;
  const kept = contextLength - sharedReserve([answer], contextLength)(answer);
  if (kept <= 0) return undefined;
  const head = Math.ceil(kept / 2);
  return [...prompt.slice(0, head), ...prompt.slice(prompt.length - (kept - head))];
}

/** The field of a prompt in its request. */
export const textParam = ({ prompt }: TextCompletionRequest, i: number): string =>
  prompt.length === 1 ? 'prompt' : `prompt[${i}]`;

/** A prompt whose last paragraph, if it is no longer than a question, is kept. */
function longText(prompt: string, param: string, request: TextCompletionRequest, encoder: TextEncoder): LongPrompt {
  const messages = [{ role: 'user', parts: [{ text: prompt, isFile: false }] }] as const;
  const { frame, document } = frameDocument(messages, encoder.contextLength);
  return {
    mode: 'middle',
    document,
    answer: request.max_tokens ?? DEFAULT_MAX_TOKENS,
    param,
    encode: (text) => encoder.encodeText(fillFrame(frame, text)[0]!.content),
  };
}
