import type { PartedMessage, TextMessage } from './documents.js';
import { PART_SEPARATOR } from './documents.js';

/** A conversation around the place of its document. */
export interface DocumentFrame {
  readonly messages: readonly TextMessage[];
  /** The message that has the document; its content is `before`, the document and `after`. */
  readonly at: number;
  readonly before: string;
  readonly after: string;
}

/** A conversation whose document is told apart from the rest. */
export interface FramedDocument {
  readonly frame: DocumentFrame;
  readonly document: string;
  /** Whether anything but the document is said. */
  readonly isAsked: boolean;
}

/** Between the document and a question in the same text. */
const LAST_PARAGRAPH = /\n[^\S\n]*\n\s*(?=\S)/g;

/**
 * Takes the longest part of all messages for the document. Where a user's one text is all that is said, its last paragraph is
 * the question, unless it is longer than `longestQuestion` characters.
 */
export function frameDocument(messages: readonly PartedMessage[], longestQuestion: number): FramedDocument {
  let at = 0;
  let longest = 0;
  for (const [i, { parts }] of messages.entries()) {
    for (const [j, { text }] of parts.entries()) {
      if (text.length > messages[at]!.parts[longest]!.text.length) [at, longest] = [i, j];
    }
  }
  const { parts } = messages[at]!;
  const { text, isFile } = parts[longest]!;
  const frame = {
    messages: messages.map(({ role, parts: all }, i) => ({ role, content: i === at ? '' : joined(all) })),
    at,
    before: parts
      .slice(0, longest)
      .map((part) => part.text + PART_SEPARATOR)
      .join(''),
    after: parts
      .slice(longest + 1)
      .map((part) => PART_SEPARATOR + part.text)
      .join(''),
  };
  const saidBy = (user: boolean): boolean =>
    messages.some(
      ({ role, parts: all }, i) =>
        (role === 'user') === user && all.some((part, j) => !(i === at && j === longest) && part.text.trim() !== ''),
    );
  if (isFile || saidBy(true)) return { frame, document: text, isAsked: saidBy(true) || saidBy(false) };
  const end = questionStart(text, longestQuestion);
  if (end === undefined) return { frame, document: text, isAsked: saidBy(false) };
  return { frame: { ...frame, after: text.slice(end) + frame.after }, document: text.slice(0, end), isAsked: true };
}

/** The conversation with a text in the document's place. */
export const fillFrame = ({ messages, at, before, after }: DocumentFrame, text: string): TextMessage[] =>
  messages.map((message, i) => (i === at ? { ...message, content: before + text + after } : message));

/** Where the last paragraph begins, the blank line before it left to the paragraph. */
function questionStart(text: string, longestQuestion: number): number | undefined {
  const end = text.trimEnd().length;
  const from = Math.max(0, end - longestQuestion);
  let start: number | undefined;
  for (const { index } of text.slice(from, end).matchAll(LAST_PARAGRAPH)) start = from + index;
  return start === undefined || text.slice(0, start).trim() === '' ? undefined : start;
}

const joined = (parts: PartedMessage['parts']): string => parts.map(({ text }) => text).join(PART_SEPARATOR);
