import type { GraphBuilder, Value } from './graph-builder.js';
import type { StepValues } from './step-values.js';

/** RoPE over adjacent pairs, the order llama.cpp keeps q and k rows in; `[1, n, heads * D]` as it was. */
export function rotate(
  graph: GraphBuilder,
  step: StepValues,
  name: string,
  input: Value,
  heads: number,
  as?: string,
): Value {
  const { headSize, ropeDimensions } = step.shape;
  const partial = ropeDimensions < headSize ? { rotary_embedding_dim: ropeDimensions, num_heads: heads } : {};
  return graph.node(name, 'RotaryEmbedding', [input, step.positions, step.ropeCosine, step.ropeSine], {
    domain: 'com.microsoft',
    attributes: { interleaved: 1, ...partial },
    ...(as === undefined ? {} : { as }),
  });
}
