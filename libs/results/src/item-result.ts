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

/** Whether the item goes into the output file (status 200) and not into the error file. */
export const isSuccess = (result: ItemResult): boolean => result.response?.status_code === 200;
