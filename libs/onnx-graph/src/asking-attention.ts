import type { GraphBuilder, Value } from './graph-builder.js';
import { OUT_OF_REACH } from './names.js';

/** What runs of questions need beside the values of all runs. */
export interface QuestionValues {
  /** Bounds of Slice. */
  readonly zero: Value;
  readonly headSize: Value;
  readonly blockColumn: Value;
  readonly afterBlock: Value;
  readonly likely: Value;
  /** Targets of Reshape, and padding of one column. */
  readonly row: Value;
  readonly oneColumn: Value;
  readonly scale: Value;
  readonly outOfReach: Value;
  readonly leastShare: Value;
  readonly one: Value;
  /** `[1, D + 1]`: what the block's own entry gives. */
  readonly blockValue: Value;
}

/** Columns of scores among which the largest is looked for to know a row's log sum: the first tokens have much of all attention. */
const LIKELY_COLUMNS = 256;
/** The least share taken for that of the largest of them: its logarithm is a number. */
const LEAST_SHARE = 1e-37;

/** Adds the constants that {@link attendAsking} needs, once for all layers. */
export function questionValues(graph: GraphBuilder, headSize: number): QuestionValues {
  const whole = (name: string, ...dims: number[]) => graph.integers(name, dims);
  return {
    zero: whole('zero', 0),
    headSize: whole('question_head_size', headSize),
    blockColumn: whole('block_column', headSize + 1),
    afterBlock: whole('after_block_column', headSize + 2),
    likely: whole('likely_columns', LIKELY_COLUMNS),
    row: whole('shape_row', 1, -1),
    oneColumn: whole('one_column_more_of_rows', 0, 0, 0, 1),
    scale: graph.float('scale', 1 / Math.sqrt(headSize)),
    outOfReach: graph.float('out_of_reach', OUT_OF_REACH),
    leastShare: graph.float('least_share', LEAST_SHARE),
    one: graph.float('one_share', 1),
    blockValue: graph.floats('block_value', [...new Array<number>(headSize).fill(0), 1], [1, headSize + 1]),
  };
}

/** Values of all runs that those of questions share. */
interface SharedValues {
  readonly scale: number;
  readonly first: Value;
  readonly last: Value;
  readonly rowWeight: Value;
  readonly questions: QuestionValues;
}

/**
 * One KV head's attention of questions over everything read so far and themselves, with what each row asked of the prefix
 * and got (`IO.askedRows`). Questions have few queries, one tile's worth, which one thread would work on alone, and all of them
 * count in the sums: so their scores are written out. Attention to the prefix and to the rest is apart, joined by the logs of
 * their sums, so that nothing as long as the prefix is copied.
 */
export function attendAsking(
  graph: GraphBuilder,
  { scale, first, last, rowWeight, questions: of }: SharedValues,
  at: string,
  query: Value,
  {
    prefixKey,
    prefixValue,
    logMass,
    isBlock,
    ownKey,
    ownValue,
  }: Record<'prefixKey' | 'prefixValue' | 'logMass' | 'isBlock' | 'ownKey' | 'ownValue', Value>,
): Record<'output' | 'sum' | 'asked', Value> {
  const node = (name: string, type: string, inputs: readonly Value[], attributes = {}) =>
    graph.node(`${at}_${name}`, type, inputs, { attributes });
  const columns = (name: string, from: Value, start: Value, end: Value) =>
    node(name, 'Slice', [from, start, end, last]);
  const join = (name: string, inputs: readonly Value[], axis: number) => node(name, 'Concat', inputs, { axis });
  /** `[rows, 1]` log of the sum of each row's exponentials, of some of its scores and their shares. */
  const logSum = (name: string, scores: Value, shares: Value) => {
    const largest = node(`${name}_largest`, 'ReduceMax', [shares, last], { keepdims: 1 });
    const log = node(`${name}_log`, 'Log', [node(`${name}_at_least`, 'Max', [largest, of.leastShare])]);
    return node(name, 'Sub', [node(`${name}_score`, 'ReduceMax', [scores, last], { keepdims: 1 }), log]);
  };

  const rows = node('rows', 'Squeeze', [query, first]);
  const queries = columns('queries', rows, of.zero, of.headSize);
  // Entry 0 stands for the run's own tokens, which come below.
  const massOrNothing = node('mass', 'Sub', [logMass, node('nothing', 'Mul', [isBlock, of.outOfReach])]);
  const bias = node('bias', 'Reshape', [massOrNothing, of.row]);
  const alpha = { float: scale };
  const scores = node('scores', 'Gemm', [queries, prefixKey, bias], { transB: 1, alpha });
  const shares = node('shares', 'Softmax', [scores], { axis: -1 });
  const likely = (name: string, from: Value) => columns(name, from, of.zero, of.likely);
  const sumBefore = logSum('log_sum', likely('likely_scores', scores), likely('likely_shares', shares));

  const blockScore = node('block', 'Mul', [columns('block_column', rows, of.blockColumn, of.afterBlock), of.scale]);
  const ownScores = node('own_products', 'Gemm', [rows, ownKey], { transB: 1, alpha });
  const rest = join('own_scores', [blockScore, ownScores], 1);
  const restShares = node('own_shares', 'Softmax', [rest], { axis: -1 });
  const fromRest = node('from_own', 'MatMul', [restShares, join('own_values', [of.blockValue, ownValue], 0)]);

  const share = node('share', 'Sigmoid', [node('above', 'Sub', [sumBefore, logSum('own_log_sum', rest, restShares)])]);
  const got = node('got', 'Mul', [node('output', 'MatMul', [shares, prefixValue]), share]);
  const gotOfRest = node('got_of_own', 'Mul', [fromRest, node('own_share', 'Sub', [of.one, share])]);
  const gotOfAll = node('got_of_all', 'Add', [node('got_and_column', 'Pad', [got, of.oneColumn]), gotOfRest]);
  const weight = node('weight', 'Mul', [rowWeight, node('share_row', 'Reshape', [share, of.row])]);
  return {
    output: node('batch', 'Unsqueeze', [gotOfAll, first]),
    sum: node('sum', 'MatMul', [weight, shares]),
    asked: join('asked', [queries, got, share, sumBefore], 1),
  };
}
