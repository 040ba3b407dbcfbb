import type { AttentionKind, Policy } from '@app/kv-policy';
import type { ReadingCache } from './reading-cache.js';

/** Chunks from one compression of what has been read to the next. */
export const CHUNKS_BETWEEN = 2;

/** Most recent entries of a head that are left alone while it is read: what the next tokens look at most. */
export const RECENT_ENTRIES = 64;

/** Entries before the recent ones that every head holds while it is read: fewer would not leave the attention sinks alone. */
export const LEAST_ENTRIES = 64;

/**
 * While it is read a head holds so many times the share of what has been read that it keeps in the end, but for that no more than
 * this share: what is merged early is seen by all that follows. With the end's share alone the divergence at 10 % is 1.4 times as
 * large, for 0.87 of the time.
 */
export const WHILE_READING = { times: 3, most: 0.2 } as const;

/** What decides how heads are kept short while they are read. */
export interface MergingRead {
  readonly policy: Policy;
  /** `[layers * kvHeads]` entries that each head keeps in the end */
  readonly entries: Int32Array;
  /** Whose attention scores, where the policy scores by them. */
  readonly questions: readonly (readonly number[])[];
}

/** Entries of T tokens that a head has while it is read, which keeps `kept` of them in the end. */
const whileReading = (kept: number, tokens: number): number =>
  Math.max(kept, Math.floor(Math.min(WHILE_READING.times * kept, WHILE_READING.most * tokens)));

/**
 * `[layers * kvHeads]` most entries that each head holds while it is read: those it has at the end of that, the recent ones and
 * the chunks that come before the next compression.
 * @param tokens of the whole prefix
 * @param between tokens from one compression to the next
 */
export function readingCapacities(entries: Int32Array, tokens: number, between: number): Int32Array {
  return entries.map((kept) =>
    kept >= tokens
      ? tokens
      : Math.min(tokens, Math.max(whileReading(kept, tokens), LEAST_ENTRIES) + RECENT_ENTRIES + between),
  );
}

/**
 * Brings every head down to its share of what has been read, and its recent entries, as if the prefix ended here. Heads
 * that keep everything stay as they are.
 */
export function compressRead(cache: ReadingCache, { policy, entries }: MergingRead): void {
  for (const [index, head] of cache.heads.entries()) {
    const kept = entries[index] as number;
    const share = Math.max(LEAST_ENTRIES, Math.floor((whileReading(kept, cache.tokens) * cache.length) / cache.tokens));
    if (kept >= cache.tokens || head.entries <= share + RECENT_ENTRIES) continue;
    head.compressOlder(policy, share, RECENT_ENTRIES);
  }
  for (const head of cache.heads) for (const kind of PASSING) head.clearAttention(kind);
}

/** Kinds that only the last queries or the questions add to: they start anew at the next compression. */
const PASSING: readonly AttentionKind[] = ['window', 'last', 'questions'];
