import type { GraphBuilder, Value } from './graph-builder.js';
import { IO } from './names.js';
import { rotate } from './rotate.js';
import type { Attention, Projections, StepValues } from './step-values.js';

/** Values that all layers of a decode graph share, beside those of `StepValues`. */
interface DecodeValues {
  readonly step: StepValues;
  readonly slots: number;
  /** Rows of each KV head and slot: sizes of Split. */
  readonly headRows: Value;
  /** Row orders: where each row of one order is found in the other. */
  readonly toHeads: Value;
  readonly toItems: Value;
  readonly tailBias: Value;
  /** Whole columns of the tail and of this run, c and r; and their sum. */
  readonly tailColumns: Value;
  readonly columns: Value;
  /** Targets of Reshape. */
  readonly queryByItem: Value;
  readonly keyByItem: Value;
  readonly groupRows: Value;
  readonly sharesByItem: Value;
  readonly outputByItem: Value;
  readonly rows: Value;
  /** Bounds and axes of Slice. */
  readonly zero: Value;
  readonly one: Value;
  readonly end: Value;
}

/**
 * Attention of items over their documents' compressed prefixes, their own tails and the run's own tokens, in one softmax.
 *
 * The n tokens of a run are `items` x r: each item has r tokens in a row. A document's items are rows of one product with
 * its keys, KV head by KV head at that head's own length, read in place (arXiv 2402.05099); log-mass rides on the Gemm's
 * bias. Tails are short and of all items alike, so that all items and heads are one batched product. Rows have two orders:
 * by item (item, KV head, query head of the group, token), as the tails lie, and by head (KV head, slot, then as before),
 * as the prefixes lie.
 */
export function decodeAttention(graph: GraphBuilder, step: StepValues, slots: number): Attention {
  const values = decodeValues(graph, step, slots);
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

function decodeValues(graph: GraphBuilder, step: StepValues, slots: number): DecodeValues {
  const { kvHeads, queryHeads, headSize } = step.shape;
  const group = queryHeads / kvHeads;
  const rowsPerItem = graph.input(IO.rowsPerItem, 'int64', [1]);
  const tailBias = graph.input(IO.tailBias, 'float', ['items', 1, 'group_rows', 'columns']);
  const any = graph.integers('any', [-1]);
  const heads = graph.integers('kv_heads', [kvHeads]);
  const perHead = graph.integers('group_size', [group]);
  const size = graph.integers('head_size', [headSize]);
  const shape = (name: string, dims: readonly Value[]) =>
    graph.node(`/shapes/${name}`, 'Concat', dims, { attributes: { axis: 0 } });
  const columns = graph.node('/shapes/columns', 'Shape', [tailBias], { attributes: { start: 3 } });
  const tail = graph.node('/shapes/tail', 'Sub', [columns, rowsPerItem]);
  const groupRows = graph.node('/shapes/group_rows', 'Mul', [rowsPerItem, perHead]);
  return {
    step,
    slots,
    headRows: graph.input(IO.headRows, 'int64', [kvHeads * slots]),
    toHeads: graph.input(IO.toHeads, 'int64', ['rows']),
    toItems: graph.input(IO.toItems, 'int64', ['rows']),
    tailBias,
    tailColumns: shape('tail_columns', [tail, rowsPerItem]),
    columns,
    queryByItem: shape('query_by_item', [any, rowsPerItem, heads, perHead, size]),
    keyByItem: shape('key_by_item', [any, rowsPerItem, heads, size]),
    groupRows: graph.integers('shape_group_rows', [0, 0, -1, headSize]),
    sharesByItem: shape('shares_by_item', [any, heads, groupRows, columns]),
    outputByItem: shape('output_by_item', [any, heads, perHead, rowsPerItem, size]),
    rows: graph.integers('shape_rows', [-1, headSize]),
    zero: graph.integers('zero', [0]),
    one: graph.integers('one', [1]),
    end: graph.integers('end', [2 ** 31 - 1]),
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
  const roped = rotate(graph, step, `${at}/q_rope`, projections.query, queryHeads);
  const newKey = rotate(graph, step, `${at}/k_rope`, projections.key, kvHeads);

  const byHead = (name: string, input: Value, target: Value, perm: readonly number[]) =>
    graph.node(`${name}_by_head`, 'Transpose', [graph.node(`${name}_by_item`, 'Reshape', [input, target])], {
      attributes: { perm },
    });
  const grouped = byHead(`${at}/q`, roped, values.queryByItem, [0, 2, 3, 1, 4]);
  const query = graph.node(`${at}/q_group_rows`, 'Reshape', [grouped, values.groupRows]);
  const key = byHead(`${at}/k`, newKey, values.keyByItem, [0, 2, 1, 3]);
  const value = byHead(`${at}/v`, projections.value, values.keyByItem, [0, 2, 1, 3]);

  const tailScores = scoreTail(graph, values, layer, query, key);
  const queryRows = graph.node(`${at}/q_rows`, 'Reshape', [query, values.rows]);
  const queries = splitByHead(graph, values, `${at}/q_heads`, queryRows);
  const scores = splitByHead(graph, values, `${at}/tail_heads`, tailScores);
  const heads = queries.map((own, index) => attendHead(graph, values, layer, index, own, scores[index] as Value));

  const fromTail = valueTail(graph, values, layer, value, joinShares(graph, values, `${at}/tail_shares`, heads));
  const fromPrefix = joinOutputs(graph, values, `${at}/heads`, heads);
  const output = graph.node(`${at}/output`, 'Add', [fromPrefix, fromTail]);
  const perItem = graph.node(`${at}/output_by_item`, 'Reshape', [output, values.outputByItem]);
  const perToken = graph.node(`${at}/tokens`, 'Transpose', [perItem], { attributes: { perm: [0, 3, 1, 2, 4] } });
  const flat = graph.node(`${at}/flat`, 'Reshape', [perToken, step.flat]);
  return { output: flat, key: newKey, value: projections.value };
}

/** Scores of the tail and of the run's own tokens, rows by item: `[rows, c + r]`. */
function scoreTail(graph: GraphBuilder, values: DecodeValues, layer: number, query: Value, key: Value): Value {
  const at = `/layers.${layer}/attn`;
  const tail = graph.input(IO.tailKey(layer), 'float', tailDims(values.step));
  const product = (name: string, keys: Value) =>
    graph.node(`${at}/${name}`, 'FusedMatMul', [query, keys], {
      domain: 'com.microsoft',
      attributes: { transB: 1, alpha: { float: scale(values.step) } },
    });
  const scores = graph.node(
    `${at}/whole_scores`,
    'Concat',
    [product('tail_scores', tail), product('new_scores', key)],
    {
      attributes: { axis: -1 },
    },
  );
  const allowed = graph.node(`${at}/allowed_scores`, 'Add', [scores, values.tailBias]);
  return graph.node(`${at}/tail_score_rows`, 'Flatten', [allowed], { attributes: { axis: 3 } });
}

/** Shares `[rows, c + r]` by item times the values of the tail and of the run's own tokens: `[rows, D]` by item. */
function valueTail(graph: GraphBuilder, values: DecodeValues, layer: number, value: Value, shares: Value): Value {
  const at = `/layers.${layer}/attn`;
  const tail = graph.input(IO.tailValue(layer), 'float', tailDims(values.step));
  const byItem = graph.node(`${at}/shares_by_item`, 'Reshape', [shares, values.sharesByItem]);
  const [ofTail, ofNew] = graph.nodeWithOutputs(
    `${at}/shares_of_tail`,
    'Split',
    [byItem, values.tailColumns],
    [`${at}/tail_share`, `${at}/new_share`],
    { attributes: { axis: 3 } },
  ) as [Value, Value];
  const fromTail = graph.node(`${at}/tail_values`, 'MatMul', [ofTail, tail]);
  const fromNew = graph.node(`${at}/new_values`, 'MatMul', [ofNew, value]);
  const sum = graph.node(`${at}/whole_values`, 'Add', [fromTail, fromNew]);
  return graph.node(`${at}/tail_output`, 'Reshape', [sum, values.rows]);
}

/** What one KV head gives the rows of one slot: the tail's shares `[rows, c + r]` and the prefix's part of the output `[D, rows]`. */
interface HeadPart {
  readonly share: Value;
  readonly output: Value;
}

/** One KV head of one slot: the prefix is read in place, never copied. The tail comes first in the softmax. */
function attendHead(
  graph: GraphBuilder,
  values: DecodeValues,
  layer: number,
  index: number,
  query: Value,
  tailScores: Value,
): HeadPart {
  const [head, slot] = [Math.floor(index / values.slots), index % values.slots];
  const at = `/layers.${layer}/attn/head.${head}/slot.${slot}`;
  const entries = `entries.${slot}.${layer}.${head}`;
  const dims = [values.step.shape.headSize, entries];
  const key = graph.input(IO.inSlot(IO.prefixKey(layer, head), slot), 'float', dims);
  const value = graph.input(IO.inSlot(IO.prefixValue(layer, head), slot), 'float', dims);
  const logMass = graph.input(IO.inSlot(IO.prefixLogMass(layer, head), slot), 'float', [entries]);
  const prefixScores = graph.node(`${at}/prefix_scores`, 'Gemm', [query, key, logMass], {
    attributes: { alpha: { float: scale(values.step) } },
  });
  const scores = graph.node(`${at}/scores`, 'Concat', [tailScores, prefixScores], { attributes: { axis: 1 } });
  const share = graph.node(`${at}/Softmax`, 'Softmax', [scores], { attributes: { axis: -1 } });
  const slice = (name: string, from: Value, to: Value) =>
    graph.node(`${at}/${name}`, 'Slice', [share, from, to, values.one]);
  return {
    share: slice('tail_share', values.zero, values.columns),
    output: graph.node(`${at}/Gemm`, 'Gemm', [value, slice('prefix_share', values.columns, values.end)], {
      attributes: { transB: 1 },
    }),
  };
}

/** Rows by item -> the rows of each KV head and slot. */
function splitByHead(graph: GraphBuilder, values: DecodeValues, name: string, rows: Value): Value[] {
  const ordered = graph.node(`${name}/Gather`, 'Gather', [rows, values.toHeads]);
  const parts = values.step.shape.kvHeads * values.slots;
  const names = Array.from({ length: parts }, (_, part) => `${name}.${part}`);
  return graph.nodeWithOutputs(name, 'Split', [ordered, values.headRows], names, { attributes: { axis: 0 } });
}

/** Tail shares of all KV heads and slots -> rows by item. */
function joinShares(graph: GraphBuilder, values: DecodeValues, name: string, heads: readonly HeadPart[]): Value {
  const shares = heads.map(({ share }) => share);
  const joined = graph.node(`${name}/Concat`, 'Concat', shares, { attributes: { axis: 0 } });
  return graph.node(`${name}/Gather`, 'Gather', [joined, values.toItems]);
}

/** The prefix's part of the output of all KV heads and slots -> rows by item. */
function joinOutputs(graph: GraphBuilder, values: DecodeValues, name: string, heads: readonly HeadPart[]): Value {
  const outputs = heads.map(({ output }) => output);
  const joined = graph.node(`${name}/Concat`, 'Concat', outputs, { attributes: { axis: 1 } });
  const rows = graph.node(`${name}/Transpose`, 'Transpose', [joined], { attributes: { perm: [1, 0] } });
  return graph.node(`${name}/Gather`, 'Gather', [rows, values.toItems]);
}

const tailDims = ({ shape }: StepValues) => ['items', shape.kvHeads, 'tail', shape.headSize];
const scale = ({ shape }: StepValues): number => 1 / Math.sqrt(shape.headSize);
