import {
  attendHead,
  attendOwn,
  type DecodeValues,
  extendQuery,
  joinHeads,
  joinOwn,
  type LayerEntries,
  type LoneValues,
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
  const byHead = (name: string, value: Value) => graph.node(`${at}/${name}`, 'Reshape', [value, lone.byHead]);
  const query = byHead('query', entries.query);
  const own = attendOwn(graph, values, at, query, { tail: entries.tailKey, fresh: byHead('key', entries.key) });
  const extended = extendQuery(graph, values, at, query, own);
  const names = Array.from({ length: kvHeads }, (_, head) => `${at}/q_heads.${head}`);
  const queries = graph.nodeWithOutputs(`${at}/q_heads`, 'Split', [extended], names, {
    attributes: { axis: 1, num_outputs: kvHeads },
  });
  const heads = entries.prefixes.map((prefix, head) =>
    attendHead(graph, values, `${at}/head.${head}`, prefix, queries[head] as Value),
  );
  const ofPrefix = joinHeads(heads, (name, parts) =>
    graph.node(`${at}/${name}`, 'Concat', parts, { attributes: { axis: 1 } }),
  );
  const ownValues = { tail: entries.tailValue, fresh: byHead('value', entries.value) };
  const output = joinOwn(graph, values, at, ofPrefix, own, ownValues);
  return graph.node(`${at}/flat`, 'Reshape', [output, values.step.flat]);
}
