import type { AttentionKind } from '@app/kv-policy';
import { IO, OUT_OF_REACH } from '@app/onnx-graph';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { ReadingCache } from './reading-cache.js';
import { integers } from './tensors.js';

/** Most tokens of a block: among themselves they cost a product and a softmax with a bias, half of it for nothing. */
const BLOCK = 64;

/** A run of the prefill graph: sequences of tokens side by side, each on top of what has been read and seeing itself alone. */
export interface ReadingRun {
  readonly sequences: readonly (readonly number[])[];
  /** How much each token counts in each kind of attention that is gathered. */
  readonly weights: ReadonlyMap<AttentionKind, Float32Array>;
  /** Instead, how much each token of questions counts, where the run is for their attention alone. */
  readonly questions?: Float32Array;
  /** Whether logits are wanted after every token. */
  readonly logits: boolean;
}

/** What the prefill graph is fed. Its tokens are padded to whole blocks: outputs have a few more rows than tokens were given. */
export function readingFeeds(cache: ReadingCache, run: ReadingRun): InferenceSession.FeedsType {
  const { kvHeads, queryHeads, headSize, contextLength } = cache.shape;
  const tokens = run.sequences.flat();
  const lengths = run.sequences.map((sequence) => sequence.length);
  const blocks = Math.ceil(tokens.length / BLOCK);
  const block = Math.ceil(tokens.length / blocks);
  const n = blocks * block;
  const padding = new Array<number>(n - tokens.length).fill(0);
  // A question too long for the context is refused when it is asked; until then its end shares the last position.
  const positions = lengths.flatMap((length) =>
    Array.from({ length }, (_, i) => Math.min(cache.length + i, contextLength - 1)),
  );
  const starts = sequenceStarts([...lengths, ...padding.map(() => 1)]);
  const rows = run.logits ? [...tokens.keys()] : [];
  const feed: Record<string, Tensor> = {
    [IO.tokens]: integers([...tokens, ...padding], [n]),
    [IO.positions]: integers([...positions, ...padding], [1, n]),
    [IO.logitRows]: integers(rows, [rows.length]),
    ...blockFeeds(starts, blocks, block),
    ...scoredQueries([...run.weights.values()], starts, queryHeads / kvHeads),
    ...askedRows(run.questions, n, queryHeads / kvHeads),
  };
  for (const [index, entries] of cache.heads.entries()) {
    const [layer, head] = [Math.floor(index / kvHeads), index % kvHeads];
    const { keys, values, logMass } = entries.graphRows();
    feed[IO.prefixKey(layer, head)] = new Tensor('float32', keys, [logMass.length, headSize]);
    feed[IO.prefixValue(layer, head)] = new Tensor('float32', values, [logMass.length, headSize]);
    feed[IO.prefixLogMass(layer, head)] = new Tensor('float32', logMass, [logMass.length, 1]);
  }
  return feed;
}

/** For each token the first one of its sequence. */
function sequenceStarts(lengths: readonly number[]): number[] {
  let from = 0;
  return lengths.flatMap((length) => {
    const start = from;
    from += length;
    return new Array<number>(length).fill(start);
  });
}

/**
 * Who may look at whom among the tokens of a run: at those of its sequence up to itself. Within blocks that is a bias. At
 * most one sequence goes on from one block to the next, so column c of the reach can be what that sequence has in the
 * blocks before block c; whoever begins in a block sees nothing before it, which is column 0.
 */
function blockFeeds(starts: readonly number[], blocks: number, block: number): InferenceSession.FeedsType {
  const n = starts.length;
  const bias = new Float32Array(n * block).fill(Number.NEGATIVE_INFINITY);
  const queryReach = new Float32Array(n * blocks);
  const keyReach = new Float32Array(n * blocks).fill(-OUT_OF_REACH);
  for (const [query, start] of starts.entries()) {
    const index = Math.floor(query / block);
    const first = index * block;
    bias.fill(0, query * block + Math.max(0, start - first), query * block + query - first + 1);
    queryReach[query * blocks + (start < first ? index : 0)] = 1;
  }
  for (let index = 1; index < blocks; index++) {
    const first = index * block;
    for (let key = starts[first] as number; key < first; key++) keyReach[key * blocks + index] = 0;
  }
  return {
    [IO.blockBias]: new Tensor('float32', bias, [blocks, block, block]),
    [IO.queryReach]: new Tensor('float32', queryReach, [n, blocks]),
    [IO.keyReach]: new Tensor('float32', keyReach, [n, blocks]),
  };
}

/** The queries that count in some kind of attention, and how much: the same in every query head of a group. */
function scoredQueries(
  weights: readonly Float32Array[],
  starts: readonly number[],
  group: number,
): InferenceSession.FeedsType {
  const n = starts.length;
  const queries = [...starts.keys()].filter((query) => weights.some((kind) => kind[query]));
  const heads = Array.from({ length: group }, (_, head) => head);
  const rows = heads.flatMap((head) => queries.map((query) => head * n + query));
  const values = weights.flatMap((kind) => rows.map((row) => kind[row % n] as number));
  const bias = new Float32Array(rows.length * n).fill(Number.NEGATIVE_INFINITY);
  for (const [i, row] of rows.entries()) {
    const query = row % n;
    bias.fill(0, i * n + (starts[query] as number), i * n + query + 1);
  }
  return {
    [IO.scoredRows]: integers(rows, [rows.length]),
    [IO.scoredBias]: new Tensor('float32', bias, [rows.length, n]),
    [IO.queryWeight]: new Tensor('float32', Float32Array.from(values), [weights.length, rows.length]),
  };
}

/** How much each query row counts in a run of questions: the same in every query head of a group. */
function askedRows(questions: Float32Array | undefined, n: number, group: number): InferenceSession.FeedsType {
  const weights = new Float32Array(questions === undefined ? 0 : group * n);
  if (questions !== undefined) for (let head = 0; head < group; head++) weights.set(questions, head * n);
  return {
    [IO.asksOnly]: new Tensor('bool', [questions !== undefined], [1]),
    [IO.rowWeight]: new Tensor('float32', weights, [1, weights.length]),
  };
}
