/** Whether a token's text ends a line. */
export type EndsLine = (token: number) => boolean;

/** Tokens that a prefix may be cut by where several items share it: each reads them again behind it. */
export const CUT_OF_SHARED = 16;
/** The same where one item is alone: nothing is read twice, and its suffix still goes into one run of the engine. */
export const CUT_OF_ALONE = 192;

/** A shorter prefix is held for nobody else. */
const MIN_TOKENS = 256;

/**
 * Where a document ends among the token ids that prompts share: at the last line that ends there, not within the beginnings that
 * some questions happen to have in common. So other questions, in other batches and chats, find the same document.
 * @param shared tokens that are shared, the most that the document can have
 * @param cut most of them that may be left out
 * @returns `shared` where no line ends so near
 */
export function documentEnd(ids: Int32Array, shared: number, cut: number, endsLine: EndsLine): number {
  for (let end = shared; end > shared - cut && end >= MIN_TOKENS; end--) if (endsLine(ids[end - 1]!)) return end;
  return shared;
}
