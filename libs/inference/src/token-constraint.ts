/** Which tokens an answer may go on with. */
export interface TokenConstraint {
  /** A bit a token, from the lowest bit of the first number on: 1 where it may come next. Settled once `ready` is. */
  readonly mask: Int32Array;
  readonly ready: Promise<void>;
  /** The answer goes on with `token`, one of those allowed. */
  accept(token: number): void;
  dispose(): void;
}

/** What constraints are made for. */
export interface Vocabulary {
  /** Text of each token as byte-level BPE writes it; empty where it has none. */
  readonly texts: readonly string[];
  /** Tokens that end an answer. */
  readonly ends: readonly number[];
}
