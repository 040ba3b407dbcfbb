/**
 * The words of `truncation: "map_reduce"`. Both stand in the document's place of the client's own messages, so the client's
 * instructions and question stay where they are, before or after it.
 */

/** Behind the text of a part. `{part}` counts from 1. */
export const MAP_NOTE =
  '(This is part {part} of {parts} of a longer document. Answer from this part alone. If it does not say, reply: not in this part.)';

/** Before the answers that are combined. */
export const COMBINE_INTRODUCTION =
  'A long document was read in {parts} parts, and the question was put to each part alone. These are the answers:';

/** Before each of them; what was combined before stands for several parts. */
export const COMBINE_PART = 'Part {part}: ';
export const COMBINE_SEVERAL = 'Parts {first} to {last}: ';

/** Behind them. */
export const COMBINE_NOTE =
  'Combine them into one answer about the whole document. Leave out the parts that do not say anything about it.';

const PARAGRAPH = '\n\n';

/** What was answered from one part, or from several. Parts count from 0. */
export interface PartialAnswer {
  readonly first: number;
  readonly last: number;
  readonly content: string;
}

/** What is read of one part, 0-based. */
export const mapText = (text: string, part: number, parts: number): string =>
  text.trimEnd() + PARAGRAPH + MAP_NOTE.replace('{part}', `${part + 1}`).replace('{parts}', `${parts}`);

/** What is read where answers are combined. */
export const combineText = (answers: readonly PartialAnswer[], parts: number): string =>
  [COMBINE_INTRODUCTION.replace('{parts}', `${parts}`), ...answers.map(answerText), COMBINE_NOTE].join(PARAGRAPH);

/** One answer among those that are combined. */
export function answerText({ first, last, content }: PartialAnswer): string {
  const label =
    first === last
      ? COMBINE_PART.replace('{part}', `${first + 1}`)
      : COMBINE_SEVERAL.replace('{first}', `${first + 1}`).replace('{last}', `${last + 1}`);
  return label + content.trim();
}
