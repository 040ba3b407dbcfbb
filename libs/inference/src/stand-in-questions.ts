import { afterMessage, type GgufModel, MissingChatTemplateError } from '@app/gguf-model';

/**
 * Asked of a document whose own questions come later, for their attention alone: what general questions of every kind look
 * at is worth keeping. Measured against the attention of the document's end in docs/quality.md.
 */
export const STAND_IN_QUESTIONS: readonly string[] = [
  'Which names of people, places and organisations are mentioned in the text? List them.',
  'Which numbers, dates, amounts and codes are mentioned in the text, and what does each belong to?',
  'Write a summary of the text.',
  'What in the text does not fit with the rest of it? Quote it word for word.',
  'Repeat the most important sentences of the text word for word.',
  'What is defined, assigned or set to a value in the text? Give each name with its value.',
];

/** Token ids of {@link STAND_IN_QUESTIONS}, each as the end of a user's message up to the start of the answer. */
export function encodeStandIns({ tokenizer, chatTemplate }: Pick<GgufModel, 'tokenizer' | 'chatTemplate'>): number[][] {
  const end = tokenizer.encodeWithControlTokens(endOfMessage(chatTemplate));
  return STAND_IN_QUESTIONS.map((question) => [...tokenizer.encode(`\n\n${question}`), ...end]);
}

/** A model without a template is asked without one. */
function endOfMessage(chatTemplate: GgufModel['chatTemplate']): string {
  try {
    return afterMessage(chatTemplate, true);
  } catch (error) {
    if (error instanceof MissingChatTemplateError) return '\n';
    throw error;
  }
}
