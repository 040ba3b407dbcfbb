/**
 * What becomes of a request whose document does not fit the model's context.
 * - `error`: it is refused
 * - `middle`: the middle of the document is cut out
 * - `map_reduce`: the document is read in parts, each part is asked, and the answers are combined
 */
export const TRUNCATIONS = ['error', 'middle', 'map_reduce'] as const;
export type Truncation = (typeof TRUNCATIONS)[number];

/** How a document is made to fit. */
export type Shortening = Exclude<Truncation, 'error'>;

/** What was done to a document that did not fit; reported to clients as `usage.truncation`. */
export interface TruncationUsage {
  readonly mode: Shortening;
  /** Of the whole document. */
  readonly tokens: number;
  /** Of these, those that were read: all of them by `map_reduce`. */
  readonly kept: number;
}

/** The shortening that a request asks for; undefined where it asks for none. */
export const shorteningOf = ({ truncation }: { readonly truncation?: Truncation }): Shortening | undefined =>
  truncation === undefined || truncation === 'error' ? undefined : truncation;
