/**
 * What a policy sees and what it answers. Nothing here holds keys or values: an engine kernel applies a plan to them.
 *
 * A policy is three independent choices (score x allocation x reduction); see `policy.ts`.
 */

/**
 * Whose attention is summed.
 * - `all`: every query of the prefix
 * - `window`: its last `WINDOW_TOKENS` queries
 * - `last`: its last query
 * - `questions`: the tokens of the items' own questions, run over the full cache
 */
export type AttentionKind = 'all' | 'window' | 'last' | 'questions';

/** Queries of the `window` statistics. */
export const WINDOW_TOKENS = 32;

/** Statistics of one KV head's cache, all of length T = number of source entries. */
export interface HeadStatistics {
  /** Source entries of this head (T). */
  readonly entries: number;
  /** `[T]` each: attention received by each entry, summed over queries and over the query heads of the KV head. */
  readonly attention: Readonly<Partial<Record<AttentionKind, Float32Array>>>;
  /** `[T - 1]` cosine similarity of the keys of entries i and i + 1. */
  readonly similarity: Float32Array;
  /** `[T]` tokens each entry already stands for (1 for a fresh token). */
  readonly mass: Float32Array;
}

/** Which of the statistics a policy reads; the engine may leave the others out. */
export interface StatisticsNeeded {
  readonly attention: readonly AttentionKind[];
  readonly similarity: boolean;
}

/** Marks a source entry that no kept entry stands for. */
export const DROPPED = -1;

/** What becomes of one KV head's entries: every source entry joins one kept entry or is dropped. */
export interface HeadPlan {
  /** Entries kept (M <= T). */
  readonly entries: number;
  /** `[T]` kept entry that each source entry joins, or `DROPPED`; kept entries are in source order. */
  readonly target: Int32Array;
  /** `[M]` source entry that is the pivot of each kept entry. */
  readonly pivot: Int32Array;
  /** How the members of a merging set are combined; entries that stand alone are copied whatever it says. */
  readonly combine: Combine;
  /** What becomes of dropped entries. */
  readonly strays: Strays;
}

/**
 * Where the contents of dropped entries go.
 * - `nowhere`: they are lost
 * - `nearest`: each is merged into the kept entry whose pivot's key is nearest by cosine, if the similarity is at least the
 *   threshold; `mean`: the mean of these similarities over the dropped entries of the head. Keys and values are averaged
 *   with weights exp(similarity), the kept entry's own being e (D2O, arXiv 2406.13035, eq. 9-10). Masses are added up, but
 *   no kept entry's logit is raised by them, as published.
 * - `following`: `weight[i]` x value i is added to the values of the next `reach` kept entries, or as many as there are
 *   (CaM, ICML 2024)
 */
export type Strays =
  | { readonly to: 'nowhere' }
  | { readonly to: 'nearest'; readonly threshold: number | 'mean' }
  | {
      readonly to: 'following';
      readonly reach: number;
      /** `[T]`, read for dropped entries. */
      readonly weight: Float32Array;
    };

/** How the kernel combines the members of a merging set. */
export interface Combine {
  /** Width of the Gaussian around the pivot: g_i = exp(-|k_p - k_i|^2 / (2 sigma^2)) (KVMerger, arXiv 2407.08454, eq. 7-8). */
  readonly sigma: number;
  /** `count`: the merged value is multiplied by the tokens of the set (as published); `mean`: it is not. */
  readonly values: 'count' | 'mean';
  /** Whether log(tokens of the set) is added to the entry's attention logit. */
  readonly logMass: boolean;
}
