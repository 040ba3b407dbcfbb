import type { GraphBuilder, Value } from './graph-builder.js';
import type { LinearWeight } from './llama-description.js';

/** Activations are quantised to int8 in the same blocks, which is what makes 8-bit weights fast on a CPU. */
const ACCURACY_INT8 = 4;

/** `[1, n, columns]` x weights -> `[1, n, rows]`. */
export function linear(graph: GraphBuilder, name: string, input: Value, weight: LinearWeight, as?: string): Value {
  const named = as === undefined ? {} : { as };
  if (weight.kind === 'float') {
    return graph.node(`${name}/MatMul`, 'FusedMatMul', [input, graph.weight(weight.weight)], {
      domain: 'com.microsoft',
      attributes: { transB: 1 },
      ...named,
    });
  }
  return graph.node(
    `${name}/MatMulNBits`,
    'MatMulNBits',
    [input, graph.weight(weight.quantised), graph.weight(weight.scales)],
    {
      domain: 'com.microsoft',
      attributes: {
        K: weight.columns,
        N: weight.rows,
        bits: 8,
        block_size: weight.blockSize,
        accuracy_level: ACCURACY_INT8,
      },
      ...named,
    },
  );
}
