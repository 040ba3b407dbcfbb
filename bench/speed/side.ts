import type { KvType } from '@app/onnx-graph';
import type { ClockName, Usage } from './clock.js';

/** Kept share of the cache under a policy; `full` and 1 keep everything. */
export interface LonghaulVariant {
  readonly policy: string;
  readonly budget: number;
  readonly reading: 'exact' | 'merging';
}

/** How the questions of one document are answered by the peer. */
export type PeerReuse =
  /** Every item reads its document again. */
  | 'none'
  /** The document stays in one sequence; each item's tokens are erased after its answer. */
  | 'sequence'
  /** The document's state is saved and loaded into one sequence a question; all are answered in one batch. */
  | 'parallel';

export interface PeerVariant {
  readonly flashAttention: boolean;
  /** Most tokens in one run of llama.cpp. */
  readonly batchSize: number;
  readonly reuse?: PeerReuse;
}

export interface HoldRequest<Variant> {
  /** Names the prefix in later calls. */
  readonly name: string;
  readonly tokens: readonly number[];
  readonly variant: Variant;
  /** Token ids of the questions, where they shape what is kept. */
  readonly questions?: readonly (readonly number[])[];
  /** Tokens that an item adds to the prefix at most. */
  readonly room: number;
}

export interface Held {
  /** Until the prefix was ready for questions. */
  readonly seconds: number;
  /** Of the time of reading: what compression took with its statistics, as the engine reports both; 0 where nothing is compressed. */
  readonly compressShare: number;
  /** Bytes of keys, values and masses held. */
  readonly bytes: number;
  /** Entries kept, mean over layers and KV heads. */
  readonly entries: number;
}

export interface Answer {
  readonly seconds: number;
  /** Runs of the model with one new token after the first token of the suffix: what `seconds` divides by for a one-token suffix. */
  readonly steps: number;
  readonly tokens: readonly number[];
}

export interface BatchRequest<Variant> {
  readonly documents: readonly (readonly number[])[];
  /** Asked of every document. */
  readonly questions: readonly (readonly number[])[];
  readonly answerTokens: number;
  readonly variant: Variant;
}

export interface BatchResult {
  readonly seconds: number;
  /** Generated over all items. */
  readonly answerTokens: number;
}

/** One of the two that are compared, each in a process of its own. Token ids in, seconds of `SideSettings.clock` out; all decoding is greedy. */
export interface Side<Variant> {
  /** Everything from the model file to an engine that takes work. */
  load(): Promise<void>;
  /** Reads a prefix and lets it go. */
  prefill(tokens: readonly number[], variant: Variant): Promise<number>;
  hold(request: HoldRequest<Variant>): Promise<Held>;
  /** Reads a suffix on top of a held prefix and generates; the prefix stays as it was. */
  answer(name: string, suffix: readonly number[], answerTokens: number): Promise<Answer>;
  release(name: string): Promise<void>;
  batch(request: BatchRequest<Variant>): Promise<BatchResult>;
  /** Of this process so far. */
  usage(): Promise<Usage>;
  close(): Promise<void>;
}

export interface SideSettings {
  readonly modelPath: string;
  readonly threads: number;
  /** Folder for graphs and weights made from the model file (Longhaul). */
  readonly graphsDir: string;
  readonly precision: 'q8' | 'f32';
  readonly kvType: KvType;
  /** Folder for saved states (peer); best in memory. */
  readonly stateDir: string;
  readonly clock: ClockName;
}

export type SideName = 'longhaul' | 'peer';
export type VariantOf<Name extends SideName> = Name extends 'longhaul' ? LonghaulVariant : PeerVariant;
