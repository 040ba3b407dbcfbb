import type { GraphBuilder, Value } from './graph-builder.js';

/**
 * Log of the sum of each row's exponentials, `[..., 1]`: the largest score less the log of the largest share.
 * @param shares softmax of the scores
 */
export function logSumOfRows(graph: GraphBuilder, name: string, scores: Value, shares: Value, lastAxis: Value): Value {
  const largest = (what: string, of: Value) =>
    graph.node(`${name}/${what}`, 'ReduceMax', [of, lastAxis], { attributes: { keepdims: 1 } });
  const log = graph.node(`${name}/log`, 'Log', [largest('largest_share', shares)]);
  return graph.node(name, 'Sub', [largest('largest_score', scores), log]);
}
