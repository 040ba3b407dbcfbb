import type { Checkpoint } from './prefix-reader.js';
import type { ReadingHead } from './reading-head.js';
import { type RopeParameters, ropeTable } from './rope-table.js';

/** Tokens of a passage, and of the document for each of them: at most so many passages. */
export const PASSAGE_TOKENS = 24;
const TOKENS_PER_PASSAGE = 640;
export const MOST_PASSAGES = 6;
/** Tokens over which strangeness is averaged. */
const SMOOTHED_TOKENS = 16;
/** Ends of the document at which no passage has its middle: sinks are strange too, and what is recent is kept anyway. */
const FIRST_TOKENS = 16;
const LAST_TOKENS = 32;

/**
 * The passages of a document that are least like the rest of it, strangest first: where keys, without their rotation, point
 * away from the mean key (KeyDiff, arXiv 2504.15364, eq. 5), averaged over heads and neighbours.
 * @param heads KV heads that hold every token of the document, `[tokens, headSize]` each
 * @param checkpoint awaited before each of them
 */
export async function standoutPassages(
  tokens: readonly number[],
  heads: readonly ReadingHead[],
  headSize: number,
  rope: RopeParameters,
  checkpoint: Checkpoint,
): Promise<number[][]> {
  const wanted = Math.min(MOST_PASSAGES, Math.floor(tokens.length / TOKENS_PER_PASSAGE));
  if (wanted === 0 || heads.length === 0) return [];
  const strange = await strangeness(tokens.length, heads, headSize, rope, checkpoint);
  const passages: number[][] = [];
  for (const middle of largestApart(strange, wanted, PASSAGE_TOKENS)) {
    passages.push(tokens.slice(Math.max(0, middle - PASSAGE_TOKENS / 2), middle + PASSAGE_TOKENS / 2));
  }
  return passages;
}

/** `[tokens]` 1 - cosine similarity to the mean of a head's normalised keys, as a share of the head's sum; the sum of all heads. */
export async function strangeness(
  tokens: number,
  heads: readonly ReadingHead[],
  headSize: number,
  rope: RopeParameters,
  checkpoint: Checkpoint,
): Promise<Float32Array> {
  const table = ropeTable({ ...rope, contextLength: tokens });
  const keys = new Float32Array(tokens * headSize);
  const mean = new Float64Array(headSize);
  const distance = new Float32Array(tokens);
  const total = new Float32Array(tokens);
  for (const head of heads) {
    await checkpoint();
    unrotate(head.keys, keys, headSize, rope.ropeDimensions, table);
    mean.fill(0);
    for (let token = 0; token < tokens; token++) normalize(keys, token * headSize, headSize, mean);
    const meanNorm = Math.hypot(...mean) || 1;
    let sum = 0;
    for (let token = 0; token < tokens; token++) {
      let product = 0;
      for (let d = 0; d < headSize; d++) product += keys[token * headSize + d]! * mean[d]!;
      distance[token] = 1 - product / meanNorm;
      sum += distance[token]!;
    }
    if (sum > 0) for (let token = 0; token < tokens; token++) total[token]! += distance[token]! / sum;
  }
  return total;
}

/** Turns keys back by their positions: pairs of neighbours, as `rotate` of the graphs turns them. */
function unrotate(
  rotated: Float32Array,
  keys: Float32Array,
  headSize: number,
  dimensions: number,
  { cosine, sine }: ReturnType<typeof ropeTable>,
): void {
  keys.set(rotated.subarray(0, keys.length));
  const half = dimensions / 2;
  for (let at = 0, angle = 0; at < keys.length; at += headSize) {
    for (let pair = 0; pair < half; pair++, angle++) {
      const [x, y] = [at + 2 * pair, at + 2 * pair + 1];
      const [even, odd] = [keys[x]!, keys[y]!];
      keys[x] = even * cosine[angle]! + odd * sine[angle]!;
      keys[y] = odd * cosine[angle]! - even * sine[angle]!;
    }
  }
}

/** Makes one row a unit vector, and adds it to the sum. */
function normalize(rows: Float32Array, at: number, size: number, sum: Float64Array): void {
  let squares = 0;
  for (let d = 0; d < size; d++) squares += rows[at + d]! * rows[at + d]!;
  const inverse = squares > 0 ? 1 / Math.sqrt(squares) : 0;
  for (let d = 0; d < size; d++) {
    rows[at + d]! *= inverse;
    sum[d]! += rows[at + d]!;
  }
}

/** Places of the largest means of `SMOOTHED_TOKENS` values, largest first, at least `apart` from each other. */
function largestApart(values: Float32Array, count: number, apart: number): number[] {
  const means = new Float32Array(values.length).fill(Number.NEGATIVE_INFINITY);
  let sum = 0;
  for (let end = 0; end < values.length; end++) {
    sum += values[end]! - (values[end - SMOOTHED_TOKENS] ?? 0);
    const middle = end - SMOOTHED_TOKENS / 2 + 1;
    if (middle >= FIRST_TOKENS && middle < values.length - LAST_TOKENS) means[middle] = sum;
  }
  const places: number[] = [];
  while (places.length < count) {
    let best = -1;
    for (let i = 0; i < means.length; i++) if (means[i]! > (means[best] ?? Number.NEGATIVE_INFINITY)) best = i;
    if (best < 0) break;
    places.push(best);
    means.fill(Number.NEGATIVE_INFINITY, Math.max(0, best - apart), best + apart);
  }
  return places;
}
