/** The terminal outcome of one item, as the line of the output or error file that it becomes (OpenAI's Batch API). */
export interface ItemResult {
  /** `batch_req_...` */
  readonly id: string;
  /** Null where the line could not be read. */
  readonly custom_id: string | null;
  /** Null where the line could not be read: then `error` says why. */
  readonly response: { readonly status_code: number; readonly request_id: string; readonly body: unknown } | null;
  readonly error: { readonly code: string; readonly message: string; readonly line?: number } | null;
}

/** Tokens of one or more answered items. */
export interface TokenUsage {
  readonly input: number;
  /** Of `input`, those that came from a held document. */
  readonly cached: number;
  readonly output: number;
}

/** The part of an answer's body that is counted. */
interface CountedBody {
  readonly usage?: {
    readonly prompt_tokens?: number;
    readonly completion_tokens?: number;
    readonly prompt_tokens_details?: { readonly cached_tokens?: number };
  };
}

/** Tokens of one item; none where it was not answered. */
export function usageOf(result: ItemResult): TokenUsage {
  const usage = isSuccess(result) ? (result.response?.body as CountedBody | null)?.usage : undefined;
  return {
    input: usage?.prompt_tokens ?? 0,
    cached: usage?.prompt_tokens_details?.cached_tokens ?? 0,
    output: usage?.completion_tokens ?? 0,
  };
}

/** Whether the item goes into the output file (status 200) and not into the error file. */
export const isSuccess = (result: ItemResult): boolean => result.response?.status_code === 200;
