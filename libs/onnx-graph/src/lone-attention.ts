import {
  attendHead,
  type DecodeValues,
  type LayerEntries,
  type LoneValues,
  scoreOwn,
  valueOwn,
} from './decode-parts.js';
import type { GraphBuilder, Value } from './graph-builder.js';

/**
 * Attention of one token of one item: what `attendTogether` computes, without reordering rows, since there is only one order.
 * Most steps of a chat are such, and as many nodes as attention has, most of them tiny, are a good part of what a step costs.
 */
export function loneAttention(
  graph: GraphBuilder,
  values: DecodeValues,
  lone: LoneValues,
  layer: number,
  entries: LayerEntries,
): Value {
  const at = `/layers.${layer}/attn/alone`;
  const { kvHeads } = values.step.shape;
  const reshape = (name: string, value: Value, target: Value) =>
    graph.node(`${at}/${name}`, 'Reshape', [value, target]);
  const join = (name: string, parts: readonly Value[]) =>
    graph.node(`${at}/${name}`, 'Concat', parts, { attributes: { axis: 0 } });
  const split = (name: string, rows: Value) => {
    const names = Array.from({ length: kvHeads }, (_, head) => `${at}/${name}.${head}`);
    return graph.nodeWithOutputs(`${at}/${name}`, 'Split', [rows], names, {
      attributes: { axis: 0, num_outputs: kvHeads },
    });
  };
  const query = reshape('query', entries.query, lone.byHead);
  const queries = split('q_heads', reshape('q_rows', entries.query, values.rows));
  const [key, value] = [reshape('key', entries.key, lone.byHead), reshape('value', entries.value, lone.byHead)];
  const scored = scoreOwn(graph, values, at, query, { tail: entries.tailKey, fresh: key });
  const scores = split('own_heads', graph.node(`${at}/own_rows`, 'Flatten', [scored], { attributes: { axis: 3 } }));
  const heads = entries.prefixes.map((prefix, head) =>
    attendHead(graph, values, `${at}/head.${head}`, prefix, queries[head] as Value, scores[head] as Value),
  );
  const ownShares = join(
    'own_shares',
    heads.map(({ share }) => share),
  );
  const shares = reshape('shares', ownShares, lone.sharesByHead);
  const fromOwn = valueOwn(graph, values, at, shares, { tail: entries.tailValue, fresh: value });
  const fromPrefix = join(
    'outputs',
    heads.map(({ output }) => output),
  );
  const output = graph.node(`${at}/output`, 'Sum', [reshape('prefix_output', fromPrefix, lone.byHead), ...fromOwn]);
  return reshape('flat', output, values.step.flat);
}
