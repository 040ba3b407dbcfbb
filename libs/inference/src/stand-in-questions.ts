import { afterMessage, type GgufModel, MissingChatTemplateError } from '@app/gguf-model';

/** A general question, and how its answer begins: what it will look at next is looked at already. */
export interface StandInQuestion {
  readonly question: string;
  readonly opening: string;
}

/**
 * Asked of a document whose own questions come later, for their attention alone: what general questions of every kind look
 * at is worth keeping. Measured against the attention of the document's end in docs/quality.md.
 */
export const STAND_IN_QUESTIONS: readonly StandInQuestion[] = [
  {
    question: 'Which names of people, places and organisations are mentioned in the text? List them.',
    opening: 'The names mentioned in the text are:\n1.',
  },
  {
    question: 'Which numbers, dates, amounts and codes are mentioned in the text, and what does each belong to?',
    opening: 'The numbers mentioned in the text are: the number of',
  },
  { question: 'Write a summary of the text.', opening: 'The text is about' },
  {
    question: 'What in the text does not fit with the rest of it? Quote it word for word.',
    opening: 'The sentence that does not fit is: "',
  },
  { question: 'Repeat the most important sentences of the text word for word.', opening: '"' },
  {
    question: 'What is defined, assigned or set to a value in the text? Give each name with its value.',
    opening: 'The value of',
  },
];

/** Token ids of {@link STAND_IN_QUESTIONS}, each as the end of a user's message and the beginning of the answer. */
export function encodeStandIns({ tokenizer, chatTemplate }: Pick<GgufModel, 'tokenizer' | 'chatTemplate'>): number[][] {
  const end = tokenizer.encodeWithControlTokens(endOfMessage(chatTemplate));
  return STAND_IN_QUESTIONS.map(({ question, opening }) => [
    ...tokenizer.encode(`\n\n${question}`),
    ...end,
    ...tokenizer.encode(opening),
  ]);
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
