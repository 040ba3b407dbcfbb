import {
  attendHead,
  attendOwn,
  type DecodeValues,
  decodeValues,
  extendQuery,
  joinHeads,
  joinOwn,
  type LayerEntries,
  type PrefixEntries,
} from './decode-parts.js';
import type { GraphBuilder, Value } from './graph-builder.js';
import { loneAttention } from './lone-attention.js';
import { IO } from './names.js';
import { rotate } from './rotate.js';
import type { Attention, KvType, Projections, StepValues } from './step-values.js';

/**
 * Attention of items over their documents' compressed prefixes, their own tails and the run's own tokens, in one softmax.
 *
 * The n tokens of a run are `items` x r: each item has r tokens in a row. A document's items are rows of one product with
 * its keys, KV head by KV head at that head's own length, read in place (arXiv 2402.05099); log-mass is a column of
 * the keys, and what is an item's own takes part as entry 0, as in `prefillAttention`. Tails are short and of all items alike, so that all items and heads are one batched product. Rows have two orders:
 * by item (item, KV head, query head of the group, token), as the tails lie, and by head (KV head, slot, then as before),
 * as the prefixes lie.
 */
export function decodeAttention(graph: GraphBuilder, step: StepValues, slots: number, kvType: KvType): Attention {
  const values = decodeValues(graph, step, slots, kvType);
  const newEntries: Value[] = [];
  return (layer, projections) => {
    const { output, key, value } = attend(graph, values, layer, projections);
    newEntries.push(key, value);
    if (layer === step.shape.layers - 1) {
      graph.node('/new_entries', 'Concat', newEntries, { as: IO.newEntries, attributes: { axis: 0 } });
      graph.output(IO.newEntries, 'float', [2 * step.shape.layers, 'n', step.shape.kvHeads * step.shape.headSize]);
    }
    return output;
  };
}

/** @returns the layer's attention, and the run's own keys (after RoPE) and values `[1, n, kvHeads * D]` */
function attend(
  graph: GraphBuilder,
  values: DecodeValues,
  layer: number,
  projections: Projections,
): { output: Value; key: Value; value: Value } {
  const at = `/layers.${layer}/attn`;
  const { step } = values;
  const { kvHeads, queryHeads } = step.shape;
  const parts = Array.from({ length: kvHeads * values.slots }, (_, index) => index);
  const entries: LayerEntries = {
    query: rotate(graph, step, `${at}/q_rope`, projections.query, queryHeads),
    key: rotate(graph, step, `${at}/k_rope`, projections.key, kvHeads),
    value: projections.value,
    tailKey: graph.input(IO.tailKey(layer), 'float'),
    tailValue: graph.input(IO.tailValue(layer), 'float'),
    prefixes: parts.map((index) => prefixInputs(graph, values, layer, index)),
  };
  const { key, value } = entries;
  const together = () => attendTogether(graph, values, layer, entries);
  const { lone } = values;
  if (lone === undefined) return { output: together(), key, value };
  const alone = () => loneAttention(graph, values, lone, layer, entries);
  const [output] = graph.conditional(
    `${at}/If`,
    lone.condition,
    [at],
    () => [alone()],
    () => [together()],
  );
  return { output: output as Value, key, value };
}

function prefixInputs(graph: GraphBuilder, values: DecodeValues, layer: number, index: number): PrefixEntries {
  const { slots, kvType } = values;
  const [head, slot] = [Math.floor(index / slots), index % slots];
  const type = kvType === 'f16' ? 'float16' : 'float';
  return {
    key: graph.input(IO.inSlot(IO.heldKey(layer, head), slot), type),
    value: graph.input(IO.inSlot(IO.heldValue(layer, head), slot), type),
  };
}

/** Attention of any number of items and tokens. */
function attendTogether(graph: GraphBuilder, values: DecodeValues, layer: number, entries: LayerEntries): Value {
  const at = `/layers.${layer}/attn/together`;
  const byHead = (name: string, input: Value, target: Value, perm: readonly number[]) =>
    graph.node(`${name}_by_head`, 'Transpose', [graph.node(`${name}_by_item`, 'Reshape', [input, target])], {
      attributes: { perm },
    });
  const grouped = byHead(`${at}/q`, entries.query, values.queryByItem, [0, 2, 3, 1, 4]);
  const query = graph.node(`${at}/q_group_rows`, 'Reshape', [grouped, values.groupRows]);
  const key = byHead(`${at}/k`, entries.key, values.keyByItem, [0, 2, 1, 3]);
  const value = byHead(`${at}/v`, entries.value, values.keyByItem, [0, 2, 1, 3]);

  const own = attendOwn(graph, values, at, query, { tail: entries.tailKey, fresh: key });
  const extended = extendQuery(graph, values, at, query, own);
  const rows = graph.node(`${at}/q_rows`, 'Reshape', [extended, values.extendedRows]);
  const queries = splitByHead(graph, values, `${at}/q_heads`, rows);
  const heads = entries.prefixes.map((prefix, index) => {
    const [head, slot] = [Math.floor(index / values.slots), index % values.slots];
    return attendHead(graph, values, `${at}/head.${head}/slot.${slot}`, prefix, queries[index] as Value);
  });
  const ofPrefix = joinHeads(heads, (name, parts) => {
    const rows = joinByItem(graph, values, `${at}/${name}_rows`, parts);
    return graph.node(`${at}/${name}`, 'Reshape', [rows, values.byItem]);
  });
  const output = joinOwn(graph, values, at, ofPrefix, own, { tail: entries.tailValue, fresh: value });
  const perItem = graph.node(`${at}/output_by_item`, 'Reshape', [output, values.outputByItem]);
  const perToken = graph.node(`${at}/tokens`, 'Transpose', [perItem], { attributes: { perm: [0, 3, 1, 2, 4] } });
  return graph.node(`${at}/flat`, 'Reshape', [perToken, values.step.flat]);
}

/** Rows by item -> the rows of each KV head and slot. */
function splitByHead(graph: GraphBuilder, values: DecodeValues, name: string, rows: Value): Value[] {
  const ordered = graph.node(`${name}/Gather`, 'Gather', [rows, values.toHeads]);
  const parts = values.step.shape.kvHeads * values.slots;
  const names = Array.from({ length: parts }, (_, part) => `${name}.${part}`);
  return graph.nodeWithOutputs(name, 'Split', [ordered, values.headRows], names, { attributes: { axis: 0 } });
}

/** The rows of each KV head and slot -> rows by item. */
function joinByItem(graph: GraphBuilder, values: DecodeValues, name: string, parts: readonly Value[]): Value {
  const joined = graph.node(`${name}/Concat`, 'Concat', parts, { attributes: { axis: 0 } });
  return graph.node(`${name}/Gather`, 'Gather', [joined, values.toItems]);
}
