import type { ChatCompletionRequest } from './chat-completion.dto.js';
import type { CompressionChoice } from './compression.js';
import type { DocumentFrame } from './document-frame.js';
import type { TruncationUsage } from './truncation.js';

/** Everything a worker needs to answer one document group; written to the blob store as JSON by the planner. */
export interface GroupPlan {
  readonly batchId: string;
  readonly model: string;
  readonly compression: CompressionChoice;
  /** The field of the requests that prompts come from; left out: `messages`. */
  readonly promptField?: 'prompt';
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
  /** Where its document did not fit the context. */
  readonly truncation?: TruncationUsage;
  /** Of a document that is read in parts: which one this is. The item is answered by combining the answers to all. */
  readonly part?: PlannedPart;
  /** Of the prompt that combines: what was answered before. */
  readonly combined?: CombinedAnswers;
}

export interface PlannedPart {
  /** From 0; answers that were combined on the way are parts of their own, from `of` on. */
  readonly index: number;
  /** Parts of the document. */
  readonly of: number;
  readonly combination: Combination;
}

/** What it takes to combine the answers to the parts of a document. */
export interface Combination {
  /** The client's messages around the answers. */
  readonly frame: DocumentFrame;
  /** The client's request. */
  readonly request: ItemOptions;
  /** What was asked of caches. */
  readonly compression?: CompressionChoice;
  /** Tokens of the document. */
  readonly tokens: number;
}

/** What went into a combined answer. */
export interface CombinedAnswers {
  readonly parts: readonly PartAnswer[];
  /** Of all runs before the last. */
  readonly usage: RunUsage;
}

/** The answer to one part, as reported in the result. */
export interface PartAnswer {
  readonly index: number;
  /** Of this part of the document. */
  readonly tokens: number;
  readonly content: string;
  readonly finish_reason: string;
}

/** What runs took together. */
export interface RunUsage {
  readonly promptTokens: number;
  readonly completionTokens: number;
  readonly cachedTokens: number;
}

/** What of a request still matters once its prompt has been turned into token ids. */
export type ItemOptions = Omit<ChatCompletionRequest, 'messages' | 'compression' | 'truncation'>;
