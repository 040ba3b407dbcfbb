/** A policy and its budget. */
export interface PolicyBudget {
  readonly policy: string;
  /** Kept share of the cache, 0 < budget <= 1. */
  readonly budget: number;
}

/**
 * Whether a group's questions are known when its document is compressed: `seen`, what they attend to is kept; `unseen`,
 * what general questions and passages that stand out attend to is, as for questions that come later.
 */
export const QUESTIONS = ['seen', 'unseen'] as const;
export type Questions = (typeof QUESTIONS)[number];

/**
 * How a document is read: `exact`, every token sees all before it; `merging`, what compression has left of them, which
 * takes less memory and, for long documents, less time.
 */
export const READINGS = ['exact', 'merging'] as const;
export type Reading = (typeof READINGS)[number];

/** All that decides how a cache is compressed. */
export interface CompressionChoice extends PolicyBudget {
  readonly questions: Questions;
  readonly reading: Reading;
}

/** What an item asks for. */
export interface AskedCompression extends CompressionChoice {
  /** Neither policy nor budget was named, only how to go about it: a short prefix stays whole. */
  readonly unnamed?: true;
}

/** Nothing is compressed, so nothing depends on the questions. */
const FULL: CompressionChoice = { policy: 'full', budget: 1, questions: 'seen', reading: 'exact' };

/** What was asked of the cache; what is missing comes from the batch, then from the configuration. */
export interface CompressionRequest {
  policy?: string;
  budget?: number;
  questions?: Questions;
  reading?: Reading;
}

/** A shorter prefix stays whole where no policy and no budget was asked for: there is little to win. */
export const MIN_COMPRESSED_TOKENS = 1024;

/** What a line asks for, completed from its batch and then from the configuration; undefined where neither asks. */
export function askedCompression(
  line: CompressionRequest | undefined,
  batch: CompressionRequest | undefined,
  configured: PolicyBudget,
): AskedCompression | undefined {
  if (!line && !batch) return undefined;
  const named = [line, batch].some((one) => one?.policy !== undefined || one?.budget !== undefined);
  const policy = line?.policy ?? batch?.policy ?? configured.policy;
  const budget = line?.budget ?? batch?.budget ?? configured.budget;
  const questions = line?.questions ?? batch?.questions ?? 'seen';
  const reading = line?.reading ?? batch?.reading ?? 'exact';
  return policy === 'full' ? FULL : { policy, budget, questions, reading, ...(!named && { unnamed: true }) };
}

/** Equal for items that ask for the same: only they can share a cache. */
export const compressionKey = (asked: AskedCompression | undefined): string =>
  asked ? `${asked.policy}:${asked.budget}:${asked.questions}:${asked.reading}${asked.unnamed ? ':unnamed' : ''}` : '';

/** What a prefix gets. */
export function chosenCompression(
  asked: AskedCompression | undefined,
  prefixTokens: number,
  configured: PolicyBudget,
): CompressionChoice {
  if ((!asked || asked.unnamed) && prefixTokens < MIN_COMPRESSED_TOKENS) return FULL;
  const { policy, budget, questions, reading } = asked ?? { ...configured, questions: 'seen', reading: 'exact' };
  return { policy, budget, questions, reading };
}
