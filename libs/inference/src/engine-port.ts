/**
 * The port between a worker's main thread and its engine.
 *
 * Guaranteed: calls of `generate` go on together, up to `itemsAtOnce` in the order given, whichever caches they read; calls
 * of `prefill` take turns with them and with each other, a chunk at a time; an aborted call rejects with
 * `EngineAbortedError` at the next chunk or token, leaves nothing behind and no other call touched; a cache lives until
 * `release` or `close`, for calls that read it already until they end. What an item is answered does not depend on what
 * else goes on, but for the last bits of floating-point sums.
 * Suffixes and answers never take more than `tailTokens`: where they would, the newest item waits and goes on later.
 * Deliberately not here: keys, values or tensors of any kind (a cache is an opaque handle), prompts as text, queues, Redis.
 */
import type { HeadCalibration } from '@app/kv-policy';
import type { KvType } from '@app/onnx-graph';

/** Names one compressed prefix held by the engine. Meaningless outside the engine that made it. */
export type CacheHandle = number & { readonly brand: 'CacheHandle' };

/** A policy name of `@app/kv-policy` and the kept share of the cache, 0 < budget <= 1. */
export interface Compression {
  readonly policy: string;
  readonly budget: number;
}

/**
 * How a prefix is read.
 * - `exact`: every token sees all tokens before it; the cache is compressed when all are read
 * - `merging`: heads that keep less than everything are compressed again and again while it is read, and later tokens see
 *   what is left of the earlier ones: less memory, for long prefixes less time, close answers (policies that evict do so
 *   while they read)
 */
export type Reading = 'exact' | 'merging';

export interface PrefillRequest {
  /** Token ids of the prefix, at least one. */
  readonly tokens: readonly number[];
  readonly compression: Compression;
  /** Default `exact`. */
  readonly reading?: Reading | undefined;
  /**
   * Token ids of the questions that will be asked, all of them whether answered already or not: what they attend to is
   * kept. Empty or left out: they are not known yet, and what stands in for them takes their place.
   */
  readonly questions?: readonly (readonly number[])[];
}

/** What is held for a prefix; reported to clients as `usage.kv_cache`. */
export interface HeldCache {
  readonly handle: CacheHandle;
  readonly policy: string;
  readonly budget: number;
  /** Length of the sequence the cache stands for. */
  readonly tokens: number;
  /** Entries kept, mean over layers and KV heads. */
  readonly entries: number;
  /** Bytes really held, masses included. */
  readonly bytes: number;
  /** Bytes that were held while the prefix was read, statistics included. */
  readonly readingBytes: number;
  /** Seconds from when the prefix began to be read until it was, what ran in between included; without compression. */
  readonly prefillSeconds: number;
  /** Seconds spent on scoring by questions, planning, merging and matching. */
  readonly compressSeconds: number;
}

export interface StoreRequest {
  readonly handle: CacheHandle;
  /** Names the cache on disk, in every engine with the same `identity`: letters and digits. */
  readonly key: string;
}

/** What is added to logits, as OpenAI's `logit_bias` and penalties. */
export interface TokenBias {
  /** Token and what is added to its logit. */
  readonly tokens: readonly (readonly [token: number, bias: number])[];
  /** Taken off for each time that the answer has a token already. */
  readonly frequency: number;
  /** Taken off once for a token that the answer has already. */
  readonly presence: number;
}

/** What JSON an answer must be. */
export interface JsonFormat {
  /** JSON schema, as JSON text. */
  readonly schema: string;
  /** Whether objects have no properties but those that the schema names. */
  readonly strict: boolean;
}

export interface SamplingOptions {
  /** 0: greedy. Default 1 as OpenAI's. */
  readonly temperature: number;
  /** Nucleus, from 0 (the likeliest token alone) to 1. */
  readonly topP: number;
  /** Same seed, same prompt, same cache: same tokens. Undefined: drawn at random. */
  readonly seed?: number | undefined;
  /** Most tokens to generate, at least one. */
  readonly maxTokens: number;
  /** The answer ends before any of these strings. */
  readonly stop: readonly string[];
  /** How many alternatives to report for each token; undefined: no log-probabilities. */
  readonly topLogprobs?: number | undefined;
  /** What makes tokens likelier or less likely; undefined: nothing. */
  readonly bias?: TokenBias | undefined;
  /** The answer is JSON of this kind, whole unless `maxTokens` cut it. Undefined: any text. */
  readonly json?: JsonFormat | undefined;
}

export interface GenerateRequest {
  readonly handle: CacheHandle;
  /** Token ids that follow the prefix, at least one. */
  readonly suffix: readonly number[];
  readonly sampling: SamplingOptions;
}

export interface TokenLogprob {
  readonly token: number;
  /** The token's text; may be a broken character where the token is part of one. */
  readonly text: string;
  readonly bytes: readonly number[];
  readonly logprob: number;
}

export interface GeneratedToken extends TokenLogprob {
  readonly top: readonly TokenLogprob[];
}

/** What an answer has grown by, while it goes on; its end comes with the `Generation`. */
export interface AnswerPiece {
  /** Certain to be part of the answer: whole characters, and nothing that may yet become a stop string. Not empty. */
  readonly text: string;
  /** Of the tokens since the last piece; empty where log-probabilities were not asked for. */
  readonly logprobs: readonly GeneratedToken[];
}

export interface Generation {
  readonly text: string;
  /** Generated tokens, the one that ended the turn not included. */
  readonly tokens: readonly number[];
  readonly finishReason: 'stop' | 'length';
  /** Present when log-probabilities were asked for; one an entry of `tokens`. */
  readonly logprobs?: readonly GeneratedToken[];
  /** Seconds from when the suffix began to be read until it was, what ran in between included. */
  readonly suffixSeconds: number;
  /** Seconds from then until the answer ended, the steps being shared with other items. */
  readonly decodeSeconds: number;
}

/** What a client of the engine must know about its model and its memory. */
export interface EngineModel {
  /** Equal in engines that make the same cache of the same request: model file, precision and calibration. */
  readonly identity: string;
  readonly contextLength: number;
  readonly layers: number;
  readonly kvHeads: number;
  readonly queryHeads: number;
  readonly headSize: number;
  /** Bytes of one entry of one KV head: key, value, log-mass and mark. */
  readonly entryBytes: number;
  /** How keys and values of documents are held. */
  readonly kvType: KvType;
  /** Most items that go on at once; further ones wait for one of them to end. */
  readonly itemsAtOnce: number;
  /** Threads that compress a cache together. */
  readonly compressThreads: number;
  /** Bytes that documents may take: while they are read (`planRead`), and what is held of them. The client sees to it. */
  readonly documentBytes: number;
  /** Most tokens of suffixes and answers that are held at once; those of one item must fit. */
  readonly tailTokens: number;
  /** Of its KV heads, where there is one. */
  readonly calibration?: HeadCalibration;
  /** Why calibrated policies allocate uniformly, where they do. */
  readonly uncalibrated?: string;
}

export interface EnginePort {
  readonly model: EngineModel;
  /** Reads a prefix and compresses its cache. Rejects with `ContextOverflowError` when it is longer than the context. */
  prefill(request: PrefillRequest, signal?: AbortSignal): Promise<HeldCache>;
  /**
   * Answers one item from a held cache. The cache is left as it was. `onPiece` is told of the answer as it grows, in order
   * and before the promise resolves. Rejects with `ContextOverflowError` (prefix + suffix + maxTokens > context)
   * and `KvMemoryExceededError` (suffix + maxTokens > `tailTokens`).
   */
  generate(request: GenerateRequest, signal?: AbortSignal, onPiece?: (piece: AnswerPiece) => void): Promise<Generation>;
  release(handle: CacheHandle): Promise<void>;
  /** Keeps a held cache on disk as well, where the engine has room there. Whether it is there now; never an error. */
  store(request: StoreRequest): Promise<boolean>;
  /** Holds a cache that was stored under this name; undefined where there is none any more, or a damaged one. */
  restore(key: string): Promise<HeldCache | undefined>;
  /** Ends the engine; calls under way reject with `EngineAbortedError`. */
  close(): Promise<void>;
}
