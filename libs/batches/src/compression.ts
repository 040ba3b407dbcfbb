import type { CompressionRequest } from './chat-completion.dto.js';

/** A policy and its budget, both known. */
export interface CompressionChoice {
  readonly policy: string;
  /** Kept share of the cache, 0 < budget <= 1. */
  readonly budget: number;
}

/** A shorter prefix stays whole where nothing was asked: there is little to win. */
export const MIN_COMPRESSED_TOKENS = 1024;

/** What a line asks for, completed from its batch and then from the configuration; undefined where neither asks. */
export function askedCompression(
  line: CompressionRequest | undefined,
  batch: CompressionRequest | undefined,
  configured: CompressionChoice,
): CompressionChoice | undefined {
  if (!line && !batch) return undefined;
  const policy = line?.policy ?? batch?.policy ?? configured.policy;
  return { policy, budget: policy === 'full' ? 1 : (line?.budget ?? batch?.budget ?? configured.budget) };
}

/** Equal for items that ask for the same: only they can share a cache. */
export const compressionKey = (asked: CompressionChoice | undefined): string =>
  asked ? `${asked.policy}:${asked.budget}` : '';

/** What a prefix gets. */
export function chosenCompression(
  asked: CompressionChoice | undefined,
  prefixTokens: number,
  configured: CompressionChoice,
): CompressionChoice {
  return asked ?? (prefixTokens < MIN_COMPRESSED_TOKENS ? { policy: 'full', budget: 1 } : configured);
}
