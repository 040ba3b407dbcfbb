import { afterMessage, type ChatTemplate, type Tokenizer } from '@app/gguf-model';
import type { QualitySample } from './datasets.js';

/**
 * What the cache holds when it is compressed. `seen`, `unseen`: the document, with or without its question known
 * (the token ids are the same); `together`: known among the questions of other samples. `prompt`: all but the last token of the whole prompt, the protocol of the papers.
 */
export type QualityMode = 'seen' | 'together' | 'unseen' | 'prompt';
export const QUALITY_MODES: readonly QualityMode[] = ['seen', 'together', 'unseen', 'prompt'];

/** A sample as token ids: `prefix` is read and compressed, `suffix` comes after it, then the answer. */
export interface QualityPrompt {
  readonly prefix: Int32Array;
  readonly suffix: Int32Array;
  /** Tokens taken out of the middle of the document to make it fit. */
  readonly tokensCut: number;
}

/** What of a GgufModel a prompt needs. */
export interface PromptModel {
  readonly tokenizer: Tokenizer;
  readonly chatTemplate: ChatTemplate;
}

/** A model or sample for which no prompt can be built. */
export class PromptError extends Error {
  override readonly name = 'PromptError';
}

/**
 * The sample as one user's message in the model's chat template, the answer prefix after the start of the assistant's
 * turn. Document and question are encoded apart, so that all questions on a document share its ids. Where document,
 * question and answer exceed `maxContext`, tokens are taken out of the middle of the document part, as LongBench does.
 * @param limits `maxContext`: tokens of everything; `answerTokens`: room for the answer
 * @throws PromptError where the question alone leaves no room, or the template does not end a message with a control token
 */
export function buildPrompt(
  sample: Pick<QualitySample, 'id' | 'documentText' | 'questionText' | 'answerPrefix'>,
  model: PromptModel,
  mode: QualityMode,
  limits: { readonly maxContext: number; readonly answerTokens: number },
): QualityPrompt {
  const whole = documentTokens(sample.documentText, model);
  const question = questionTokens(sample, model);
  const room = limits.maxContext - question.length - limits.answerTokens;
  if (room < 2) {
    throw new PromptError(
      `${sample.id}: at least ${question.length + limits.answerTokens + 2} tokens of context are needed for the question ` +
        `and the answer, found ${limits.maxContext}: allow a longer context or leave the sample out.`,
    );
  }
  const document = withoutMiddle(whole, room);
  const tokensCut = whole.length - document.length;
  if (mode !== 'prompt') return { prefix: Int32Array.from(document), suffix: Int32Array.from(question), tokensCut };
  const all = Int32Array.from([...document, ...question]);
  return { prefix: all.slice(0, -1), suffix: all.slice(-1), tokensCut };
}

/** The first floor(room / 2) and the last of `ids`, `room` in all. */
function withoutMiddle(ids: readonly number[], room: number): readonly number[] {
  if (ids.length <= room) return ids;
  const head = Math.floor(room / 2);
  return [...ids.slice(0, head), ...ids.slice(ids.length - (room - head))];
}

/** Start of the prompt up to the end of the document; control tokens that the document mentions stay text. */
function documentTokens(text: string, { tokenizer, chatTemplate }: PromptModel): number[] {
  const ids = chatTemplate.encodeChat([{ role: 'user', content: text }], { addGenerationPrompt: false });
  const end = tokenizer.encodeWithControlTokens(afterMessage(chatTemplate, false));
  const start = ids.length - end.length;
  if (end.length === 0 || !tokenizer.isControlToken(end[0]!) || end.some((id, i) => ids[start + i] !== id)) {
    throw new PromptError(
      'A chat template that ends a message with a control token is expected, found another: choose another model.',
    );
  }
  return ids.slice(0, start);
}

/** The rest of the message, the end of the user's turn, the start of the assistant's and of the answer. */
export function questionTokens(
  { questionText, answerPrefix }: Pick<QualitySample, 'questionText' | 'answerPrefix'>,
  { tokenizer, chatTemplate }: PromptModel,
): number[] {
  return [
    ...tokenizer.encode(questionText),
    ...tokenizer.encodeWithControlTokens(afterMessage(chatTemplate, true) + answerPrefix),
  ];
}
