import type { PlannedItem, RunUsage } from '@app/batches';
import type { GeneratedToken, Generation, HeldCache, TokenLogprob } from '@app/inference';

/** What is reported of one answered item. */
export interface Answer {
  /** Of the completion: `chatcmpl-...`. */
  readonly id: string;
  readonly item: PlannedItem;
  readonly cache: HeldCache;
  /** Whether the cache was held already when the item came. */
  readonly reused: boolean;
  /** One a choice, at least one. */
  readonly generations: readonly Generation[];
  readonly systemFingerprint: string;
}

const NOTHING_BEFORE: RunUsage = { promptTokens: 0, completionTokens: 0, cachedTokens: 0 };

/**
 * OpenAI's `chat.completion` object. Beside OpenAI's own fields: `usage.kv_cache` and `usage.timing` of the last run;
 * `usage.truncation` where the document did not fit; `parts` where the answers to its parts were combined, and then the
 * tokens of all runs.
 */
export function chatCompletionBody({ id, item, cache, reused, generations, systemFingerprint }: Answer): object {
  const { truncation, combined } = item;
  const before = combined?.usage ?? NOTHING_BEFORE;
  const promptTokens = before.promptTokens + cache.tokens + item.suffix.length;
  const completionTokens = generations.reduce((sum, { tokens }) => sum + tokens.length, before.completionTokens);
  const { policy, budget, tokens, entries, bytes } = cache;
  return {
    id,
    object: 'chat.completion',
    created: Math.floor(Date.now() / 1000),
    model: item.request.model,
    system_fingerprint: systemFingerprint,
    choices: generations.map(({ text, logprobs, finishReason }, index) => ({
      index,
      message: { role: 'assistant', content: text, refusal: null },
      logprobs: logprobs ? { content: logprobs.map(tokenLogprobs), refusal: null } : null,
      finish_reason: finishReason,
    })),
    usage: {
      prompt_tokens: promptTokens,
      completion_tokens: completionTokens,
      total_tokens: promptTokens + completionTokens,
      prompt_tokens_details: { cached_tokens: before.cachedTokens + (reused ? tokens : 0) },
      kv_cache: { policy, budget, tokens, entries, bytes },
      timing: {
        prefill_seconds: reused ? 0 : cache.prefillSeconds,
        compress_seconds: reused ? 0 : cache.compressSeconds,
        suffix_seconds: Math.max(...generations.map(({ suffixSeconds }) => suffixSeconds)),
        decode_seconds: Math.max(...generations.map(({ decodeSeconds }) => decodeSeconds)),
      },
      ...(truncation && { truncation }),
    },
    ...(combined && { parts: combined.parts }),
  };
}

/** An entry of OpenAI's `logprobs.content`. */
export const tokenLogprobs = (generated: GeneratedToken): object => ({
  ...tokenLogprob(generated),
  top_logprobs: generated.top.map(tokenLogprob),
});

const tokenLogprob = ({ text, logprob, bytes }: TokenLogprob): object => ({ token: text, logprob, bytes });
