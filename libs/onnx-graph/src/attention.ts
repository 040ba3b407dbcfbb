import type { GraphBuilder, Value } from './graph-builder.js';
import { IO } from './names.js';
import { rotate } from './rotate.js';
import type { Attention, Projections, StepValues } from './step-values.js';

/** Values that all layers of the prefill graph share, beside those of `StepValues`. */
interface PrefillValues {
  readonly step: StepValues;
  readonly tailBias: Value;
  /** 1 / sqrt(headSize) */
  readonly scale: Value;
  /** One scalar index a KV head, for Gather. */
  readonly headIndex: readonly Value[];
  /** Targets of Reshape. */
  readonly queryHeads: Value;
  readonly queryRows: Value;
  readonly keyHeads: Value;
  readonly perQueryHead: Value;
  /** Padding that adds a column to the last of three dimensions, of 1 for queries, of 0 for keys; and the axis of the column. */
  readonly oneColumn: Value;
  readonly massOfQuery: Value;
  readonly columnAxis: Value;
}

/**
 * Attention of n tokens over everything read so far and themselves: one Gemm-Softmax-MatMul chain a KV head, each over its
 * own number of entries. The rows of a chain are the n queries of each query head of the group, `[group * n, ...]`.
 */
export function prefillAttention(graph: GraphBuilder, step: StepValues): Attention {
  const { kvHeads, queryHeads, headSize } = step.shape;
  graph.input(IO.queryWeight, 'float', ['sums', 'rows']);
  const values: PrefillValues = {
    step,
    tailBias: graph.input(IO.tailBias, 'float', ['rows', 'n']),
    scale: graph.float('attention_scale', 1 / Math.sqrt(headSize)),
    headIndex: Array.from({ length: kvHeads }, (_, head) => graph.integers(`head_${head}`, [head], [])),
    queryHeads: graph.integers('shape_query_heads', [-1, kvHeads, queryHeads / kvHeads, headSize]),
    queryRows: graph.integers('shape_query_rows', [kvHeads, -1, headSize]),
    keyHeads: graph.integers('shape_key_heads', [-1, kvHeads, headSize]),
    perQueryHead: graph.integers('shape_per_query_head', [queryHeads, -1, headSize]),
    oneColumn: graph.integers('one_column', [0, 0, 0, 0, 0, 1]),
    massOfQuery: graph.float('mass_of_query', 1),
    columnAxis: graph.integers('column_axis', [1]),
  };
  return (layer, projections) => attend(graph, values, layer, projections);
}

function attend(graph: GraphBuilder, values: PrefillValues, layer: number, projections: Projections): Value {
  const { step } = values;
  const at = `/layers.${layer}/attn`;
  const { kvHeads, queryHeads, headSize } = step.shape;
  const query = rotate(graph, step, `${at}/q_rope`, projections.query, queryHeads);
  const key = rotate(graph, step, `${at}/k_rope`, projections.key, kvHeads, IO.newKey(layer));
  const value = graph.node(`${at}/v_new`, 'Identity', [projections.value], { as: IO.newValue(layer) });
  graph.output(key, 'float', [1, 'n', kvHeads * headSize]);
  graph.output(value, 'float', [1, 'n', kvHeads * headSize]);

  const rows = queryRows(graph, values, at, query);
  const freshKeys = graph.node(`${at}/k_tokens`, 'Reshape', [key, values.keyHeads]);
  const keys = graph.node(`${at}/k_mass`, 'Pad', [freshKeys, values.oneColumn]);
  const freshValues = graph.node(`${at}/v_tokens`, 'Reshape', [value, values.keyHeads]);
  const heads = values.headIndex.map((index, head) => {
    const gather = (name: string, source: Value, axis: number) =>
      graph.node(`${at}/head.${head}/${name}`, 'Gather', [source, index], { attributes: { axis } });
    return prefillChain(graph, values, layer, head, {
      query: gather('q', rows, 0),
      key: gather('k', keys, 1),
      value: gather('v', freshValues, 1),
    });
  });
  const stacked = graph.node(`${at}/heads`, 'Concat', heads, { attributes: { axis: 0 } });
  const perHead = graph.node(`${at}/heads_by_query`, 'Reshape', [stacked, values.perQueryHead]);
  const perToken = graph.node(`${at}/tokens`, 'Transpose', [perHead], { attributes: { perm: [1, 0, 2] } });
  return graph.node(`${at}/flat`, 'Reshape', [perToken, step.flat]);
}

/** `[1, n, queryHeads * D]` -> scaled `[kvHeads, group * n, D + 1]`, the last column 1. */
function queryRows(graph: GraphBuilder, values: PrefillValues, at: string, query: Value): Value {
  const scaled = graph.node(`${at}/q_scaled`, 'Mul', [query, values.scale]);
  const grouped = graph.node(`${at}/q_grouped`, 'Reshape', [scaled, values.queryHeads]);
  const byHead = graph.node(`${at}/q_by_head`, 'Transpose', [grouped], { attributes: { perm: [1, 2, 0, 3] } });
  const rows = graph.node(`${at}/q_rows`, 'Reshape', [byHead, values.queryRows]);
  return graph.node(`${at}/q_mass`, 'Pad', [rows, values.oneColumn, values.massOfQuery]);
}

/** One KV head's part: query `[group * n, D + 1]`, key `[n, D + 1]` and value `[n, D]` of the n tokens. */
interface Head {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/**
 * Many queries: scores of prefix and tail side by side, values joined (values are short beside the scores). Log-mass is one
 * more column of the keys, beside a column of ones: as the bias of the product it would be written to every score first.
 */
function prefillChain(graph: GraphBuilder, values: PrefillValues, layer: number, head: number, own: Head): Value {
  const at = `/layers.${layer}/attn/head.${head}`;
  const dims = [`entries.${layer}.${head}`, values.step.shape.headSize];
  const prefixKey = graph.input(IO.prefixKey(layer, head), 'float', dims);
  const prefixValue = graph.input(IO.prefixValue(layer, head), 'float', dims);
  const logMass = graph.input(IO.prefixLogMass(layer, head), 'float', [`entries.${layer}.${head}`]);
  const massColumn = graph.node(`${at}/mass_column`, 'Unsqueeze', [logMass, values.columnAxis]);
  const keys = graph.node(`${at}/keys`, 'Concat', [prefixKey, massColumn], { attributes: { axis: 1 } });
  const prefixScores = graph.node(`${at}/prefix_scores`, 'Gemm', [own.query, keys], { attributes: { transB: 1 } });
  const tailScores = graph.node(`${at}/tail_scores`, 'Gemm', [own.query, own.key, values.tailBias], {
    attributes: { transB: 1 },
  });
  const scores = graph.node(`${at}/scores`, 'Concat', [prefixScores, tailScores], { attributes: { axis: 1 } });
  const share = graph.node(`${at}/Softmax`, 'Softmax', [scores], { attributes: { axis: -1 } });
  const joined = graph.node(`${at}/values`, 'Concat', [prefixValue, own.value], { attributes: { axis: 0 } });
  return graph.node(`${at}/MatMul`, 'MatMul', [share, joined]);
}

/**
 * Outputs of the attention each entry received. Called when everything else is in the graph: the runtime executes the
 * branch of the last node first, so in this order each sum runs as soon as its shares are there; otherwise the shares of
 * all layers and heads would be kept until the end (1.2 GB at 4,096 tokens of the default model).
 */
export function attentionSums(graph: GraphBuilder, step: StepValues): void {
  const { layers, kvHeads } = step.shape;
  for (let layer = layers - 1; layer >= 0; layer--) {
    for (let head = kvHeads - 1; head >= 0; head--) {
      const at = `/layers.${layer}/attn/head.${head}`;
      const name = IO.attentionSum(layer, head);
      // Rows of weights times the shares: sums over queries, faster than ReduceSum along the first axis.
      graph.node(`${at}/sum`, 'MatMul', [IO.queryWeight, `${at}/Softmax`], { as: name });
      graph.output(name, 'float', ['sums', `entries.${layer}.${head} + n`]);
    }
  }
}
