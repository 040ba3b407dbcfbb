import type { GraphBuilder, Value } from './graph-builder.js';
import { IO } from './names.js';
import type { StepValues } from './step-values.js';

/** Projections of the n tokens of a step: query `[n, queryHeads * D]`, key and value `[n, kvHeads * D]`. */
export interface Projections {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

/**
 * Attention of one layer, `[n, queryHeads * D]`: one Gemm-Softmax-MatMul chain a KV head, each over its own number of
 * entries. The rows of a chain are the n queries of each query head of the group, `[group * n, ...]`.
 */
export function attention(graph: GraphBuilder, step: StepValues, layer: number, projections: Projections): Value {
  const at = `/layers.${layer}/attn`;
  const { kvHeads, queryHeads, headSize } = step.shape;
  const query = rotate(graph, step, `${at}/q_rope`, projections.query, queryHeads);
  const key = rotate(graph, step, `${at}/k_rope`, projections.key, kvHeads, IO.newKey(layer));
  const value = graph.node(`${at}/v_new`, 'Identity', [projections.value], { as: IO.newValue(layer) });
  graph.output(key, 'float', [1, 'n', kvHeads * headSize]);
  graph.output(value, 'float', ['n', kvHeads * headSize]);

  const rows = queryRows(graph, step, at, query);
  const keys = tokenMajor(graph, step, `${at}/k`, key, step.phase === 'decode' ? IO.tailKey(layer) : undefined);
  const values = tokenMajor(graph, step, `${at}/v`, value, step.phase === 'decode' ? IO.tailValue(layer) : undefined);
  const chain = step.phase === 'decode' ? decodeChain : prefillChain;
  const heads = step.headIndex.map((index, head) => {
    const gather = (name: string, source: Value, axis: number) =>
      graph.node(`${at}/head.${head}/${name}`, 'Gather', [source, index], { attributes: { axis } });
    return chain(graph, step, layer, head, {
      query: gather('q', rows, 0),
      key: gather('k', keys, 1),
      value: gather('v', values, 1),
    });
  });
  const stacked = graph.node(`${at}/heads`, 'Concat', heads, { attributes: { axis: 0 } });
  const perHead = graph.node(`${at}/heads_by_query`, 'Reshape', [stacked, step.perQueryHead]);
  const perToken = graph.node(`${at}/tokens`, 'Transpose', [perHead], { attributes: { perm: [1, 0, 2] } });
  return graph.node(`${at}/flat`, 'Reshape', [perToken, step.flat]);
}

/** RoPE over adjacent pairs, the order llama.cpp keeps q and k rows in; `[n, heads * D]` -> `[1, n, heads * D]`. */
function rotate(graph: GraphBuilder, step: StepValues, name: string, input: Value, heads: number, as?: string): Value {
  const { headSize, ropeDimensions } = step.shape;
  const partial = ropeDimensions < headSize ? { rotary_embedding_dim: ropeDimensions, num_heads: heads } : {};
  const batched = graph.node(`${name}/batched`, 'Unsqueeze', [input, step.zero]);
  return graph.node(name, 'RotaryEmbedding', [batched, step.positions, step.ropeCosine, step.ropeSine], {
    domain: 'com.microsoft',
    attributes: { interleaved: 1, ...partial },
    ...(as === undefined ? {} : { as }),
  });
}

/** `[1, n, queryHeads * D]` -> scaled `[kvHeads, group * n, D]`. */
function queryRows(graph: GraphBuilder, step: StepValues, at: string, query: Value): Value {
  const scaled = graph.node(`${at}/q_scaled`, 'Mul', [query, step.scale]);
  const grouped = graph.node(`${at}/q_grouped`, 'Reshape', [scaled, step.queryHeads]);
  const byHead = graph.node(`${at}/q_by_head`, 'Transpose', [grouped], { attributes: { perm: [1, 2, 0, 3] } });
  return graph.node(`${at}/q_rows`, 'Reshape', [byHead, step.queryRows]);
}

/** The tail, where there is one, followed by the n new tokens: `[t + n, kvHeads, D]`. */
function tokenMajor(
  graph: GraphBuilder,
  step: StepValues,
  name: string,
  fresh: Value,
  tailName: string | undefined,
): Value {
  const rows = graph.node(`${name}_tokens`, 'Reshape', [fresh, step.keyHeads]);
  if (tailName === undefined) return rows;
  const tail = graph.input(tailName, 'float', ['t', step.shape.kvHeads, step.shape.headSize]);
  return graph.node(`${name}_tail`, 'Concat', [tail, rows], { attributes: { axis: 0 } });
}

/** One KV head's part: query `[group * n, D]`, key and value of the tail `[t + n, D]`. */
interface Head {
  readonly query: Value;
  readonly key: Value;
  readonly value: Value;
}

function prefixInputs(graph: GraphBuilder, step: StepValues, layer: number, head: number): [key: Value, value: Value] {
  const dims = [`entries.${layer}.${head}`, step.shape.headSize];
  return [
    graph.input(IO.prefixKey(layer, head), 'float', dims),
    graph.input(IO.prefixValue(layer, head), 'float', dims),
  ];
}

/** Many queries: scores of prefix and tail side by side, values joined (values are short beside the scores). */
function prefillChain(graph: GraphBuilder, step: StepValues, layer: number, head: number, own: Head): Value {
  const at = `/layers.${layer}/attn/head.${head}`;
  const [prefixKey, prefixValue] = prefixInputs(graph, step, layer, head);
  const prefixScores = graph.node(`${at}/prefix_scores`, 'Gemm', [own.query, prefixKey], { attributes: { transB: 1 } });
  const tailScores = graph.node(`${at}/tail_scores`, 'Gemm', [own.query, own.key, step.tailBias], {
    attributes: { transB: 1 },
  });
  const scores = graph.node(`${at}/scores`, 'Concat', [prefixScores, tailScores], { attributes: { axis: 1 } });
  const share = graph.node(`${at}/Softmax`, 'Softmax', [scores], { attributes: { axis: -1 } });
  const values = graph.node(`${at}/values`, 'Concat', [prefixValue, own.value], { attributes: { axis: 0 } });
  return graph.node(`${at}/MatMul`, 'MatMul', [share, values]);
}

/** Few queries: the prefix is read in place, never copied; its scores carry log-mass. The tail comes first in the softmax. */
function decodeChain(graph: GraphBuilder, step: StepValues, layer: number, head: number, own: Head): Value {
  const at = `/layers.${layer}/attn/head.${head}`;
  const [prefixKey, prefixValue] = prefixInputs(graph, step, layer, head);
  const logMass = graph.input(IO.prefixLogMass(layer, head), 'float', [`entries.${layer}.${head}`]);
  const prefixScores = graph.node(`${at}/prefix_scores`, 'Gemm', [own.query, prefixKey, logMass], {
    attributes: { transB: 1 },
  });
  const tailScores = graph.node(`${at}/tail_scores`, 'Gemm', [own.query, own.key, step.tailBias], {
    attributes: { transB: 1 },
  });
  const scores = graph.node(`${at}/scores`, 'Concat', [tailScores, prefixScores], { attributes: { axis: 1 } });
  const share = graph.node(`${at}/Softmax`, 'Softmax', [scores], { attributes: { axis: -1 } });
  const slice = (name: string, from: Value, to: Value) =>
    graph.node(`${at}/${name}`, 'Slice', [share, from, to, step.one]);
  const fromTail = graph.node(`${at}/tail_values`, 'MatMul', [
    slice('tail_share', step.zero, step.tailLength),
    own.value,
  ]);
  const prefixShare = slice('prefix_share', step.tailLength, step.end);
  return graph.node(`${at}/Gemm`, 'Gemm', [prefixShare, prefixValue, fromTail]);
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
      graph.node(`${at}/sum`, 'MatMul', [step.queryWeight, `${at}/Softmax`], { as: name });
      graph.output(name, 'float', ['sums', `entries.${layer}.${head} + n`]);
    }
  }
}
