import type { ResultRow } from './longhaul-client.js';

/** What the lines of an output file say of tokens and of the cache that answered them. */
export interface AnswerLine {
  readonly custom_id: string | null;
  readonly response: {
    readonly body?: {
      readonly usage?: {
        readonly prompt_tokens: number;
        readonly completion_tokens: number;
        readonly prompt_tokens_details?: { readonly cached_tokens?: number };
        readonly kv_cache?: KvCache;
        readonly timing?: { readonly prefill_seconds?: number; readonly compress_seconds?: number };
      };
    };
  } | null;
}

interface KvCache {
  readonly policy: string;
  readonly budget: number;
  readonly tokens: number;
  readonly entries: number;
  readonly bytes: number;
}

/** What a batch took for one document, or for one of its caches where it had several. */
export interface DocumentUsage {
  /** Name of the document; null where the batch file tells none. */
  readonly document: string | null;
  items: number;
  /** Tokens that were read for this batch, the document's and the questions'. */
  read_tokens: number;
  /** Tokens that came from a cache that was there. */
  cached_tokens: number;
  answer_tokens: number;
  /** Seconds to read and compress the document; 0: it was held already. */
  prefill_seconds: number;
  /** The cache that the answers came from; null: the items shared none. */
  readonly kv_cache: KvCache | null;
}

/**
 * Adds up the usage of a batch's answers by document and cache, in order of the first answer.
 * @param rows which document each item asked about
 */
export async function usageByDocument(
  rows: AsyncIterable<ResultRow>,
  answers: AsyncIterable<AnswerLine>,
): Promise<DocumentUsage[]> {
  const documents = new Map<string | null, string | null>();
  for await (const { custom_id, document } of rows) documents.set(custom_id, document);
  const found = new Map<string, DocumentUsage>();
  for await (const { custom_id, response } of answers) {
    const usage = response?.body?.usage;
    if (!usage) continue;
    const document = documents.get(custom_id) ?? null;
    const kv_cache = usage.kv_cache ?? null;
    const key = JSON.stringify([document, kv_cache]);
    let sum = found.get(key);
    if (!sum) {
      sum = { document, items: 0, read_tokens: 0, cached_tokens: 0, answer_tokens: 0, prefill_seconds: 0, kv_cache };
      found.set(key, sum);
    }
    const cached = usage.prompt_tokens_details?.cached_tokens ?? 0;
    sum.items++;
    sum.read_tokens += usage.prompt_tokens - cached;
    sum.cached_tokens += cached;
    sum.answer_tokens += usage.completion_tokens;
    sum.prefill_seconds += (usage.timing?.prefill_seconds ?? 0) + (usage.timing?.compress_seconds ?? 0);
  }
  return [...found.values()];
}
