import {
  type AttentionKind,
  createPolicy,
  type HeadCalibration,
  type Policy,
  type PolicyOptions,
} from '@app/kv-policy';
import type { KvType } from '@app/onnx-graph';
import { askedRowCount, askedRowSize, matchedRowCount } from './asked-rows.js';
import type { PrefillRequest } from './engine-port.js';
import { headBytes } from './held-prefix.js';
import { CHUNKS_BETWEEN, readingCapacities } from './merging-read.js';
import { PREFILL_CHUNK } from './prefix-reader.js';

/** What of a model decides the size of a cache. */
export interface CacheModel {
  readonly layers: number;
  readonly kvHeads: number;
  readonly queryHeads: number;
  readonly headSize: number;
  /** What is held in the end; it is read in float32. */
  readonly kvType: KvType;
  readonly calibration?: HeadCalibration | undefined;
  /** Threads that compress at a time. */
  readonly compressThreads: number;
}

/** Of rows by entries, which the matching graph holds at a time. */
const MATCHING_MATRICES = 2;

/** How a prefix will be read and what will stay of it: known before anything is read. */
export interface ReadPlan {
  readonly policy: Policy;
  /** What the policy was made with. */
  readonly policyOptions: PolicyOptions;
  /** `[layers * kvHeads]` entries that each head keeps; at most that many where the policy is not `exact`. */
  readonly entries: Int32Array;
  /** Whether any head may keep less than everything. Else neither policy nor reading nor questions make a difference. */
  readonly shrinks: boolean;
  /** Whether what is kept is matched to what the questions got. */
  readonly matching: boolean;
  /** Kinds of attention that are gathered while it is read. */
  readonly attention: readonly AttentionKind[];
  /** Whether it depends on the questions what is kept. */
  readonly shapedByQuestions: boolean;
  /** Bytes that are held while it is read, statistics included. */
  readonly readingBytes: number;
  /** Most bytes that are held at any time: the read cache and what is made of it. */
  readonly peakBytes: number;
  /** Bytes that stay. */
  readonly heldBytes: number;
}

/**
 * @throws UnknownPolicyError
 * @throws InvalidBudgetError
 */
export function planRead(model: CacheModel, request: PrefillRequest): ReadPlan {
  const { tokens, compression, reading, questions = [] } = request;
  const { layers, kvHeads, queryHeads, headSize, kvType, calibration, compressThreads } = model;
  const known = questions.length > 0;
  const policyOptions: PolicyOptions = { scoring: known ? 'questions' : 'stand-ins' };
  const policy = createPolicy(compression.policy, policyOptions);
  const entries = policy.allocate({ tokens: tokens.length, layers, kvHeads }, compression.budget, calibration);
  const shrinks = !policy.exact || entries.some((kept) => kept < tokens.length);
  const matching = shrinks && policy.matching;
  const attention = shrinks ? policy.needs.attention : [];
  const between = CHUNKS_BETWEEN * PREFILL_CHUNK;
  const merging = shrinks && reading === 'merging';
  const capacities = merging ? readingCapacities(entries, tokens.length, between) : entries.map(() => tokens.length);
  // Key and value, mass and its logarithm, and what has been received of each kind of attention.
  const readEntryBytes = (2 * headSize + 2 + attention.length) * Float32Array.BYTES_PER_ELEMENT;
  const group = queryHeads / kvHeads;
  const askedTokens = known ? questions.reduce((sum, { length }) => sum + length, 0) : PREFILL_CHUNK;
  const askedRows = askedRowCount(askedTokens, group);
  let [read, held, made, largest, largestShrunk, largestMatrix] = [0, 0, 0, 0, 0, 0];
  for (const [head, kept] of entries.entries()) {
    read += capacities[head]!;
    held += headBytes(kept, headSize, kvType);
    // A head that is kept as it was read takes the place of what was read, unless it changes its type.
    if (kept < tokens.length || !policy.exact || kvType !== 'f32') made += headBytes(kept, headSize, kvType);
    if (kept < tokens.length || !policy.exact) {
      largestShrunk = Math.max(largestShrunk, kept);
      largestMatrix = Math.max(largestMatrix, kept * matchedRowCount(askedRows, kept));
    }
    largest = Math.max(largest, kept);
  }
  const readingBytes = read * readEntryBytes;
  // Each head is made in float32, and freed when it has changed its type.
  const madeInAll = made + compressThreads * headBytes(largest, headSize);
  const rowBytes = matching ? layers * kvHeads * Float32Array.BYTES_PER_ELEMENT : 0;
  const askedBytes = askedRows * askedRowSize(headSize) * rowBytes;
  // What one run of questions gives is gone before anything is made; values that are matched lie beside what they replace.
  const runBytes = Math.min(askedTokens, PREFILL_CHUNK) * group * askedRowSize(headSize) * rowBytes;
  const matrices = MATCHING_MATRICES * largestMatrix * Float32Array.BYTES_PER_ELEMENT;
  const matchedBytes = matching ? compressThreads * (headBytes(largestShrunk, headSize) + matrices) : 0;
  return {
    policy,
    policyOptions,
    entries,
    shrinks,
    matching,
    attention,
    shapedByQuestions: known && attention.includes('questions'),
    readingBytes,
    // Every thread turns and matches one head at a time.
    peakBytes: readingBytes + askedBytes + Math.max(runBytes, madeInAll + matchedBytes),
    heldBytes: held,
  };
}
