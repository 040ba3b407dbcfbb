import type { TruncationUsage } from './truncation.js';

/** One choice of a complete answer, in the words of a chat completion. */
export interface ChatChoice {
  readonly message: { readonly content: string };
  readonly logprobs: { readonly content: readonly unknown[] } | null;
  readonly finish_reason: string;
}

/** What of an item's body is read here. */
export interface ChatBody {
  readonly choices: readonly ChatChoice[];
}

/** What of an item's body becomes part of a text completion. */
export interface AnsweredPrompt extends ChatBody {
  readonly created: number;
  readonly model: string;
  readonly system_fingerprint: string;
  readonly usage: {
    readonly prompt_tokens: number;
    readonly completion_tokens: number;
    readonly total_tokens: number;
    readonly prompt_tokens_details: { readonly cached_tokens: number };
    readonly truncation?: TruncationUsage;
  };
}

/** An entry of a chat completion's `logprobs.content`. */
interface TokenEntry {
  readonly token: string;
  readonly logprob: number;
  readonly top_logprobs: readonly { readonly token: string; readonly logprob: number }[];
}

/** OpenAI's older `logprobs` object. */
export interface TextLogprobs {
  readonly tokens: string[];
  readonly token_logprobs: number[];
  readonly top_logprobs: Record<string, number>[];
  /** Where each token begins in the choice's text. */
  readonly text_offset: number[];
}

/** @param offset characters of the choice's text before these tokens */
export function textLogprobs(content: readonly unknown[], offset = 0): TextLogprobs {
  const entries = content as readonly TokenEntry[];
  let at = offset;
  return {
    tokens: entries.map(({ token }) => token),
    token_logprobs: entries.map(({ logprob }) => logprob),
    top_logprobs: entries.map(({ top_logprobs: top }) =>
      Object.fromEntries(top.map(({ token, logprob }) => [token, logprob])),
    ),
    text_offset: entries.map(({ token }) => {
      at += token.length;
      return at - token.length;
    }),
  };
}

/** OpenAI's `text_completion` object: the choices of all prompts, in their order. `id` is `cmpl-...`. */
export function textCompletionBody(id: string, answers: readonly AnsweredPrompt[]) {
  const [first] = answers as readonly [AnsweredPrompt];
  const choices = answers.flatMap((answer) => answer.choices);
  return {
    id,
    object: 'text_completion',
    created: first.created,
    model: first.model,
    system_fingerprint: first.system_fingerprint,
    choices: choices.map(({ message, logprobs, finish_reason }, index) => ({
      index,
      text: message.content,
      logprobs: logprobs && textLogprobs(logprobs.content),
      finish_reason,
    })),
    usage: totalUsage(answers),
  };
}

/** What all prompts took together. */
export function totalUsage(answers: readonly AnsweredPrompt[]) {
  const sum = (count: (usage: AnsweredPrompt['usage']) => number): number =>
    answers.reduce((total, { usage }) => total + count(usage), 0);
  const cut = answers.find(({ usage }) => usage.truncation)?.usage.truncation;
  return {
    prompt_tokens: sum((usage) => usage.prompt_tokens),
    completion_tokens: sum((usage) => usage.completion_tokens),
    total_tokens: sum((usage) => usage.total_tokens),
    prompt_tokens_details: { cached_tokens: sum((usage) => usage.prompt_tokens_details.cached_tokens) },
    // Of the prompts that were cut.
    ...(cut && {
      truncation: {
        mode: cut.mode,
        tokens: sum(({ truncation }) => truncation?.tokens ?? 0),
        kept: sum(({ truncation }) => truncation?.kept ?? 0),
      },
    }),
  };
}
