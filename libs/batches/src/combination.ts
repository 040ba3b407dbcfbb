import { fillFrame } from './document-frame.js';
import type { Combination } from './group-plan.js';
import { answerTokens, combinedTokens, mapTokens } from './long-documents.js';
import { answerText, combineText, type PartialAnswer } from './map-reduce-prompts.js';
import { answerLimit, type PromptEncoder } from './prompt.js';

/** Tokens between two answers. */
const SEPARATOR_TOKENS = 2;

/** What is combined next. */
export interface CombiningStep {
  /** Whether this gives the answer; else answers that are combined again. */
  readonly isLast: boolean;
  /** Answers that go into one prompt each, in order; one where it is the last step. */
  readonly packs: readonly (readonly PartialAnswer[])[];
}

/**
 * Puts all answers into one prompt where they fit, else as many as fit into each of several, two at least.
 * @param parts of the document
 */
export async function nextStep(
  answers: readonly PartialAnswer[],
  parts: number,
  { frame, request }: Combination,
  encoder: PromptEncoder,
): Promise<CombiningStep> {
  const { contextLength } = encoder;
  const asked = answerLimit(request);
  const longest = mapTokens(asked, contextLength);
  const around = (await encoder.encode(fillFrame(frame, combineText([], parts)))).length;
  const sized = await Promise.all(
    answers.map(async (answer) => {
      const limited = { ...answer, content: await firstTokens(answer.content, longest, encoder) };
      const { length } = await encoder.tokenEnds(answerText(limited));
      return { answer: limited, tokens: length + SEPARATOR_TOKENS };
    }),
  );
  const last = combinedTokens(around, answerTokens(asked, contextLength), contextLength);
  if (sized.reduce((sum, { tokens }) => sum + tokens, 0) <= last || sized.length === 1) {
    return { isLast: true, packs: [sized.map(({ answer }) => answer)] };
  }
  const most = combinedTokens(around, longest, contextLength);
  const packs: PartialAnswer[][] = [];
  let left = 0;
  for (const { answer, tokens } of sized) {
    const pack = packs.at(-1);
    if (pack === undefined || (tokens > left && pack.length > 1)) {
      packs.push([answer]);
      left = most - tokens;
    } else {
      pack.push(answer);
      left -= tokens;
    }
  }
  return { isLast: false, packs };
}

/** Encoded again, an answer may have more tokens than it was given. */
async function firstTokens(text: string, most: number, encoder: PromptEncoder): Promise<string> {
  const ends = await encoder.tokenEnds(text);
  return ends.length <= most ? text : text.slice(0, ends[most - 1]);
}
