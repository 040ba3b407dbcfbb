import type { ChatCompletionRequest } from './chat-completion.dto.js';
import type { CompressionChoice } from './compression.js';

/** Everything a worker needs to answer one document group; written to the blob store as JSON by the planner. */
export interface GroupPlan {
  readonly batchId: string;
  readonly model: string;
  readonly compression: CompressionChoice;
  /** Token ids that all items share: the document. */
  readonly prefix: readonly number[];
  readonly items: readonly PlannedItem[];
  /**
   * Suffixes that decide what of the document is kept, where several groups share it: the same in each, so that they share its
   * cache. Left out: those of the items.
   */
  readonly questions?: readonly (readonly number[])[];
}

export interface PlannedItem {
  /** Index of the item within its batch (0-based line among the non-empty lines); the field results are gathered under. */
  readonly index: number;
  readonly customId: string;
  /** In a batch of text completions: which prompt of its line it is, from 0. An answer of such a line is an answer of each. */
  readonly prompt?: { readonly number: number; readonly of: number };
  /** Token ids after the prefix, at least one. */
  readonly suffix: readonly number[];
  /** The request without its messages. */
  readonly request: ItemOptions;
}

/** What of a request still matters once its prompt has been turned into token ids. */
export type ItemOptions = Omit<ChatCompletionRequest, 'messages' | 'compression'>;
