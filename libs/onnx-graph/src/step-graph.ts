import { attentionSums, prefillAttention } from './attention.js';
import { decodeAttention } from './decode-attention.js';
import { GraphBuilder, type Value } from './graph-builder.js';
import type { LayerWeights, LlamaDescription } from './llama-description.js';
import { IO } from './names.js';
import { Products } from './products.js';
import { type Attention, DOCUMENT_SLOTS, type KvType, type Phase, type StepValues } from './step-values.js';

/** What else a graph depends on. */
export interface GraphOptions {
  /** Of the prefixes that decode graphs are given. */
  readonly kvType?: KvType;
  /** Whether `int8` weights are multiplied as unsigned ones, since the runtime would overflow with signed ones. */
  readonly unsignedWeights?: boolean;
}

/** Builds one graph and encodes it. Inputs and outputs are those of `IO`. */
export function buildGraph(
  model: LlamaDescription,
  phase: Phase,
  { kvType = 'f32', unsignedWeights = false }: GraphOptions = {},
): Uint8Array {
  const { shape } = model;
  const graph = new GraphBuilder(`llama-${phase}`);
  const step = stepInputs(graph, model);
  const attention =
    phase === 'prefill' ? prefillAttention(graph, step) : decodeAttention(graph, step, DOCUMENT_SLOTS[phase], kvType);
  const tokens = graph.input(IO.tokens, 'int64');
  const embedded = graph.node('/embedding/Gather', 'Gather', [graph.weight(model.embedding), tokens]);
  let state: State = {
    stream: graph.node('/embedding/Unsqueeze', 'Unsqueeze', [embedded, graph.integers('batch_axis', [0])]),
  };
  const products = new Products(graph, tokens, unsignedWeights);
  const layers = phase === 'prefill' ? (model.prefillLayers ?? model.layers) : model.layers;
  for (const [index, weights] of layers.entries()) {
    state = layer(graph, products, step, attention, index, weights, state);
  }

  const rows = graph.input(IO.logitRows, 'int64');
  const gather = (name: string, value: Value) =>
    graph.node(`/output/${name}/Gather`, 'Gather', [value, rows], { attributes: { axis: 1 } });
  const wanted: State = { stream: gather('stream', state.stream) };
  if (state.added !== undefined) wanted.added = gather('added', state.added);
  const { normed } = normalise(graph, '/output/norm', wanted, graph.weight(model.outputNorm), shape.rmsEpsilon);
  const logits = products.multiply('/output/logits', { kind: 'float', value: normed }, model.output, IO.logits);
  graph.output(logits, 'float', [1, 'm', shape.vocabulary]);
  if (phase === 'prefill') attentionSums(graph, step);
  else {
    likeliest(graph, logits);
    probabilities(graph, logits, shape.vocabulary);
  }
  return graph.encode();
}

/** The most likely next token of each row, here because greedy answers then need no logits: every fetched output is copied. */
function likeliest(graph: GraphBuilder, logits: Value): void {
  graph.node('/output/likeliest/ArgMax', 'ArgMax', [logits], {
    as: IO.likeliest,
    attributes: { axis: -1, keepdims: 0 },
  });
  graph.output(IO.likeliest, 'int64', [1, 'm']);
}

/** Probabilities of the next token at each row's temperature, here because the runtime is quicker at exponentials. */
function probabilities(graph: GraphBuilder, logits: Value, vocabulary: number): void {
  const rows = graph.input(IO.sampledRows, 'int64');
  const inverse = graph.input(IO.inverseTemperature, 'float');
  const sampled = graph.node('/output/sampled/Gather', 'Gather', [logits, rows], { attributes: { axis: 1 } });
  const tempered = graph.node('/output/tempered/Mul', 'Mul', [sampled, inverse]);
  graph.node('/output/probabilities/Softmax', 'Softmax', [tempered], {
    as: IO.probabilities,
    attributes: { axis: -1 },
  });
  graph.output(IO.probabilities, 'float', [1, 's', vocabulary]);
}

function stepInputs(graph: GraphBuilder, model: LlamaDescription): StepValues {
  const { shape } = model;
  return {
    shape,
    positions: graph.input(IO.positions, 'int64'),
    ropeCosine: graph.weight(model.ropeCosine),
    ropeSine: graph.weight(model.ropeSine),
    flat: graph.integers('shape_flat', [1, -1, shape.queryHeads * shape.headSize]),
    projected: graph.integers(
      'projected_columns',
      [shape.queryHeads, shape.kvHeads, shape.kvHeads].map((heads) => heads * shape.headSize),
    ),
  };
}

/** The residual stream `[1, n, hidden]`, and what is still to be added to it. */
interface State {
  stream: Value;
  added?: Value;
}

function layer(
  graph: GraphBuilder,
  products: Products,
  step: StepValues,
  attention: Attention,
  index: number,
  weights: LayerWeights,
  state: State,
): State {
  const at = `/layers.${index}`;
  const { rmsEpsilon } = step.shape;
  const before = normalise(graph, `${at}/attn_norm`, state, graph.weight(weights.attentionNorm), rmsEpsilon);
  const input = products.operand(`${at}/attn/input`, before.normed, weights.queryKeyValue);
  const all = products.multiply(`${at}/attn/qkv_proj`, input, weights.queryKeyValue);
  const names = ['q', 'k', 'v'].map((part) => `${at}/attn/${part}_proj`);
  const [query, key, value] = graph.nodeWithOutputs(`${at}/attn/qkv`, 'Split', [all, step.projected], names, {
    attributes: { axis: 2 },
  }) as [Value, Value, Value];
  const attended = attention(index, { query, key, value });
  const heads = products.operand(`${at}/attn/output`, attended, weights.attentionOutput);
  const projected = products.multiply(`${at}/attn/o_proj`, heads, weights.attentionOutput);

  const afterAttention = { stream: before.stream, added: projected };
  const norm = graph.weight(weights.feedForwardNorm);
  const { normed, stream } = normalise(graph, `${at}/ffn_norm`, afterAttention, norm, rmsEpsilon);
  const forward = products.operand(`${at}/ffn/input`, normed, weights.gateUp);
  const both = products.multiply(`${at}/ffn/gate_up_proj`, forward, weights.gateUp);
  const halves = [`${at}/ffn/gate`, `${at}/ffn/up`];
  const [gate, up] = graph.nodeWithOutputs(`${at}/ffn/gate_up`, 'Split', [both], halves, {
    attributes: { axis: 2, num_outputs: 2 },
  }) as [Value, Value];
  // QuickGelu with alpha 1 is x * sigmoid(x), SiLU, in one node.
  const silu = graph.node(`${at}/ffn/SiLU`, 'QuickGelu', [gate], {
    domain: 'com.microsoft',
    attributes: { alpha: { float: 1 } },
  });
  const product = graph.node(`${at}/ffn/Mul`, 'Mul', [silu, up]);
  const gated = products.operand(`${at}/ffn/gated`, product, weights.down);
  return { stream, added: products.multiply(`${at}/ffn/down_proj`, gated, weights.down) };
}

/** RMSNorm of the stream once everything is added to it, in one node where something is. */
function normalise(
  graph: GraphBuilder,
  name: string,
  { stream, added }: State,
  weight: Value,
  epsilon: number,
): { normed: Value; stream: Value } {
  if (added === undefined) {
    const normed = graph.node(`${name}/RMSNorm`, 'SimplifiedLayerNormalization', [stream, weight], {
      attributes: { axis: -1, epsilon: { float: epsilon }, stash_type: 1 },
    });
    return { normed, stream };
  }
  const [normed, , , sum] = graph.nodeWithOutputs(
    `${name}/AddRMSNorm`,
    'SkipSimplifiedLayerNormalization',
    [stream, added, weight],
    [name, '', '', `${name}/stream`],
    { domain: 'com.microsoft', attributes: { epsilon: { float: epsilon } } },
  );
  return { normed: normed as Value, stream: sum as Value };
}
