import { attentionSums, prefillAttention } from './attention.js';
import { decodeAttention } from './decode-attention.js';
import { GraphBuilder, type Value } from './graph-builder.js';
import { linear } from './linear.js';
import type { LayerWeights, LlamaDescription } from './llama-description.js';
import { IO } from './names.js';
import { type Attention, DOCUMENT_SLOTS, type Phase, type StepValues } from './step-values.js';

/** Builds one graph and encodes it. Inputs and outputs are those of `IO`. */
export function buildGraph(model: LlamaDescription, phase: Phase): Uint8Array {
  const { shape } = model;
  const graph = new GraphBuilder(`llama-${phase}`);
  const step = stepInputs(graph, model);
  const attention =
    phase === 'prefill' ? prefillAttention(graph, step) : decodeAttention(graph, step, DOCUMENT_SLOTS[phase]);
  const tokens = graph.input(IO.tokens, 'int64', ['n']);
  let stream = graph.node('/embedding/Gather', 'Gather', [graph.weight(model.embedding), tokens]);
  for (const [index, weights] of model.layers.entries()) {
    stream = layer(graph, shape.rmsEpsilon, attention, index, weights, stream);
  }

  const rows = graph.input(IO.logitRows, 'int64', ['m']);
  const wanted = graph.node('/output/Gather', 'Gather', [stream, rows]);
  const normed = rmsNorm(graph, '/output/norm', wanted, graph.weight(model.outputNorm), shape.rmsEpsilon);
  graph.output(linear(graph, '/output/logits', normed, model.output, IO.logits), 'float', ['m', shape.vocabulary]);
  if (phase === 'prefill') attentionSums(graph, step);
  return graph.encode();
}

function stepInputs(graph: GraphBuilder, model: LlamaDescription): StepValues {
  const { shape } = model;
  return {
    shape,
    positions: graph.input(IO.positions, 'int64', [1, 'n']),
    ropeCosine: graph.weight(model.ropeCosine),
    ropeSine: graph.weight(model.ropeSine),
    zero: graph.integers('zero', [0]),
    flat: graph.integers('shape_flat', [-1, shape.queryHeads * shape.headSize]),
  };
}

function layer(
  graph: GraphBuilder,
  rmsEpsilon: number,
  attention: Attention,
  index: number,
  weights: LayerWeights,
  stream: Value,
): Value {
  const at = `/layers.${index}`;
  const normed = rmsNorm(graph, `${at}/attn_norm`, stream, graph.weight(weights.attentionNorm), rmsEpsilon);
  const attended = attention(index, {
    query: linear(graph, `${at}/attn/q_proj`, normed, weights.query),
    key: linear(graph, `${at}/attn/k_proj`, normed, weights.key),
    value: linear(graph, `${at}/attn/v_proj`, normed, weights.value),
  });
  const projected = linear(graph, `${at}/attn/o_proj`, attended, weights.attentionOutput);
  const afterAttention = graph.node(`${at}/attn/Add`, 'Add', [stream, projected]);

  const feedInput = rmsNorm(graph, `${at}/ffn_norm`, afterAttention, graph.weight(weights.feedForwardNorm), rmsEpsilon);
  const gate = linear(graph, `${at}/ffn/gate_proj`, feedInput, weights.gate);
  const up = linear(graph, `${at}/ffn/up_proj`, feedInput, weights.up);
  // QuickGelu with alpha 1 is x * sigmoid(x), SiLU, in one node.
  const silu = graph.node(`${at}/ffn/SiLU`, 'QuickGelu', [gate], {
    domain: 'com.microsoft',
    attributes: { alpha: { float: 1 } },
  });
  const gated = graph.node(`${at}/ffn/Mul`, 'Mul', [silu, up]);
  const down = linear(graph, `${at}/ffn/down_proj`, gated, weights.down);
  return graph.node(`${at}/ffn/Add`, 'Add', [afterAttention, down]);
}

function rmsNorm(graph: GraphBuilder, name: string, input: Value, weight: Value, epsilon: number): Value {
  return graph.node(`${name}/RMSNorm`, 'SimplifiedLayerNormalization', [input, weight], {
    attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
  });
}
