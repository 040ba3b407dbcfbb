import { attendAsking, type QuestionValues, questionValues } from './asking-attention.js';
import type { GraphBuilder, Value } from './graph-builder.js';
import { IO } from './names.js';
import { rotate } from './rotate.js';
import type { Attention, Projections, StepValues } from './step-values.js';

/** Values that all layers of the prefill graph share, beside those of `StepValues`. */
interface PrefillValues {
  readonly step: StepValues;
  /** 1 / sqrt(headSize), which every score is multiplied by. */
  readonly scale: number;
  readonly inverseScale: Value;
  readonly blockBias: Value;
  /** Columns beside those of the queries, `[kvHeads, group * n, 1]` and `[kvHeads, group * n, blocks]`. */
  readonly massColumn: Value;
  readonly queryReach: Value;
  /** Columns beside those of the run's own keys, `[kvHeads, n, 2 + blocks]`. */
  readonly keyColumns: Value;
  /** Padding that adds the columns of the blocks to two dimensions, and one column to three. */
  readonly blockColumns: Value;
  readonly oneColumn: Value;
  /** Targets of Reshape. */
  readonly queryHeads: Value;
  readonly queryRows: Value;
  readonly queryBlocks: Value;
  readonly keyBlocks: Value;
  readonly keyByBlock: Value;
  readonly valueByBlock: Value;
  readonly column: Value;
  readonly keyHeads: Value;
  readonly perQueryHead: Value;
  /** Whether the run is one of questions; how much its rows count; and what other runs give in the place of their sums. */
  readonly asksOnly: Value;
  readonly rowWeight: Value;
  readonly noSum: Value;
  /** One scalar index a KV head, for Gather. */
  readonly headIndex: readonly Value[];
  /** Axes, and sizes of Split. */
  readonly first: Value;
  readonly last: Value;
  readonly outputColumns: Value;
  readonly questions: QuestionValues;
}

/**
 * Attention of n tokens over everything read so far and themselves. The rows of a KV head are the n queries of each query
 * head of its group: `[group * n, ...]`. Tokens lie in blocks, and a query's keys are of two kinds.
 *
 * Those of its own block: a product of all KV heads and blocks, with a bias.
 *
 * All before: one MultiHeadAttention a KV head, over its own number of entries. Without bias or past the runtime works in
 * tiles that stay in cache and never writes the scores (MlasFlashAttention). What would be its bias are columns:
 * - log-mass is a column of the keys, beside a column of ones in the queries;
 * - a query has a 1 in the column of what it may see of the run's own tokens, a key there 0 or a large negative number;
 * - the query's own block takes part as entry 0, whose score is the log of the sum of the block's exponentials. Its value
 *   is 1 in a column where all others have 0, so that column of the output is the block's share p of all attention, and
 *   what comes out is output + p * output of the block.
 */
export function prefillAttention(graph: GraphBuilder, step: StepValues): Attention {
  const { kvHeads, queryHeads, headSize } = step.shape;
  const group = queryHeads / kvHeads;
  const blockBias = graph.input(IO.blockBias, 'float');
  const queryReach = graph.input(IO.queryReach, 'float');
  const keyReach = graph.input(IO.keyReach, 'float');
  graph.input(IO.scoredRows, 'int64');
  graph.input(IO.scoredBias, 'float');
  graph.input(IO.queryWeight, 'float');

  const whole = (name: string, ...dims: number[]) => graph.integers(name, dims);
  const dimension = (name: string, of: Value, start: number) =>
    graph.node(`/shapes/${name}`, 'Shape', [of], { attributes: { start, end: start + 1 } });
  const shape = (name: string, dims: readonly Value[]) =>
    graph.node(`/shapes/${name}`, 'Concat', dims, { attributes: { axis: 0 } });
  const blocks = dimension('blocks', blockBias, 0);
  const block = dimension('block', blockBias, 1);
  const tokens = dimension('tokens', queryReach, 0);
  const any = whole('any', -1);
  const one = whole('one', 1);
  const heads = whole('kv_heads', kvHeads);
  const size = whole('head_size', headSize);

  const inverseScale = graph.float('inverse_scale', Math.sqrt(headSize));
  const perHead = shape('reach_per_head', [whole('query_heads', queryHeads), tokens, blocks]);
  const reach = graph.node('/query_reach/Expand', 'Expand', [queryReach, perHead]);
  const padded = graph.node('/key_reach/Pad', 'Pad', [keyReach, whole('two_columns_before', 0, 2, 0, 0)]);
  const values: PrefillValues = {
    step,
    scale: 1 / Math.sqrt(headSize),
    inverseScale,
    blockBias,
    massColumn: graph.node('/mass_column/Expand', 'Expand', [
      inverseScale,
      shape('mass_column', [heads, graph.node('/shapes/rows', 'Mul', [tokens, whole('group', group)]), one]),
    ]),
    queryReach: graph.node('/query_reach/Reshape', 'Reshape', [reach, shape('query_reach', [heads, any, blocks])]),
    keyColumns: graph.node('/key_reach/Expand', 'Expand', [padded, whole('shape_key_columns', kvHeads, 1, 1)]),
    blockColumns: shape('block_columns', [whole('no_more', 0, 0, 0), blocks]),
    oneColumn: whole('one_column_more', 0, 0, 0, 0, 0, 1),
    queryHeads: whole('shape_query_heads', -1, kvHeads, group, headSize),
    queryRows: whole('shape_query_rows', kvHeads, -1, headSize),
    queryBlocks: shape('query_blocks', [heads, whole('group_size', group), blocks, block, size]),
    keyBlocks: shape('key_blocks', [blocks, block, heads, size]),
    keyByBlock: shape('key_by_block', [heads, one, blocks, size, block]),
    valueByBlock: shape('value_by_block', [heads, one, blocks, block, size]),
    column: whole('shape_column', kvHeads, -1, 1),
    keyHeads: whole('shape_key_heads', -1, kvHeads, headSize),
    perQueryHead: whole('shape_per_query_head', queryHeads, -1, headSize),
    asksOnly: graph.input(IO.asksOnly, 'bool'),
    rowWeight: graph.input(IO.rowWeight, 'float'),
    noSum: graph.floats('no_sum', [], [1, 0]),
    headIndex: Array.from({ length: kvHeads }, (_, head) => graph.integers(`head_${head}`, [head], [])),
    first: whole('first_axis', 0),
    last: whole('last_axis', -1),
    outputColumns: whole('output_columns', headSize, 1),
    questions: questionValues(graph, headSize),
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
  const block = attendBlocks(graph, values, at, rows, key, value);
  const score = graph.node(`${at}/block_column`, 'Mul', [block.score, values.inverseScale]);
  const columns = [rows, values.massColumn, score, values.queryReach];
  const queries = graph.node(`${at}/queries`, 'Concat', columns, { attributes: { axis: 2 } });
  const names = Array.from({ length: kvHeads }, (_, head) => `${at}/head.${head}/query`);
  graph.nodeWithOutputs(`${at}/query_heads`, 'Split', [queries], names, {
    attributes: { axis: 0, num_outputs: kvHeads },
  });
  const ownKeys = graph.node(`${at}/own_keys`, 'Concat', [byHead(graph, values, `${at}/k`, key), values.keyColumns], {
    attributes: { axis: 2 },
  });
  const ownValues = graph.node(`${at}/own_values`, 'Pad', [byHead(graph, values, `${at}/v`, value), values.oneColumn]);
  const heads = names.map((name, head) => attendAllBefore(graph, values, layer, head, name, ownKeys, ownValues));
  const stacked = graph.node(`${at}/heads`, 'Concat', heads, { attributes: { axis: 0 } });
  const [before, share] = graph.nodeWithOutputs(
    `${at}/before_and_share`,
    'Split',
    [stacked, values.outputColumns],
    [`${at}/before`, `${at}/block_share`],
    { attributes: { axis: 2 } },
  ) as [Value, Value];
  const ofBlock = graph.node(`${at}/block_part`, 'Mul', [block.output, share]);
  const joined = graph.node(`${at}/joined`, 'Add', [before, ofBlock]);
  const perHead = graph.node(`${at}/heads_by_query`, 'Reshape', [joined, values.perQueryHead]);
  const perToken = graph.node(`${at}/tokens`, 'Transpose', [perHead], { attributes: { perm: [1, 0, 2] } });
  return graph.node(`${at}/flat`, 'Reshape', [perToken, step.flat]);
}

/** `[1, n, queryHeads * D]` -> `[kvHeads, group * n, D]`. */
function queryRows(graph: GraphBuilder, values: PrefillValues, at: string, query: Value): Value {
  const grouped = graph.node(`${at}/q_grouped`, 'Reshape', [query, values.queryHeads]);
  const perHead = graph.node(`${at}/q_by_head`, 'Transpose', [grouped], { attributes: { perm: [1, 2, 0, 3] } });
  return graph.node(`${at}/q_rows`, 'Reshape', [perHead, values.queryRows]);
}

/** `[1, n, kvHeads * D]` -> `[kvHeads, n, D]`. */
function byHead(graph: GraphBuilder, values: PrefillValues, name: string, input: Value): Value {
  const tokens = graph.node(`${name}_tokens`, 'Reshape', [input, values.keyHeads]);
  return graph.node(`${name}_by_head`, 'Transpose', [tokens], { attributes: { perm: [1, 0, 2] } });
}

/**
 * Each block's tokens among themselves: output `[kvHeads, group * n, D]`, and `[kvHeads, group * n, 1]` log of the sum of
 * each row's exponentials, which is the largest score less the log of the largest share.
 */
function attendBlocks(
  graph: GraphBuilder,
  values: PrefillValues,
  at: string,
  rows: Value,
  key: Value,
  value: Value,
): { output: Value; score: Value } {
  const byBlock = (name: string, input: Value, perm: readonly number[], target: Value) => {
    const tokens = graph.node(`${name}_blocks`, 'Reshape', [input, values.keyBlocks]);
    const transposed = graph.node(`${name}_blocks_by_head`, 'Transpose', [tokens], { attributes: { perm } });
    return graph.node(`${name}_by_block`, 'Reshape', [transposed, target]);
  };
  const keys = byBlock(`${at}/k`, key, [2, 0, 3, 1], values.keyByBlock);
  const queries = graph.node(`${at}/q_blocks`, 'Reshape', [rows, values.queryBlocks]);
  const scores = graph.node(`${at}/block_scores`, 'FusedMatMul', [queries, keys], {
    domain: 'com.microsoft',
    attributes: { alpha: { float: values.scale } },
  });
  const allowed = graph.node(`${at}/allowed_scores`, 'Add', [scores, values.blockBias]);
  const shares = graph.node(`${at}/block_shares`, 'Softmax', [allowed], { attributes: { axis: -1 } });
  const largest = (name: string, of: Value) =>
    graph.node(`${at}/${name}`, 'ReduceMax', [of, values.last], { attributes: { keepdims: 1 } });
  const log = graph.node(`${at}/largest_log`, 'Log', [largest('largest_share', shares)]);
  const score = graph.node(`${at}/block_score`, 'Sub', [largest('largest_score', allowed), log]);
  const blockValues = byBlock(`${at}/v`, value, [2, 0, 1, 3], values.valueByBlock);
  const output = graph.node(`${at}/block_values`, 'MatMul', [shares, blockValues]);
  return {
    output: graph.node(`${at}/block_output`, 'Reshape', [output, values.queryRows]),
    score: graph.node(`${at}/block_score_rows`, 'Reshape', [score, values.column]),
  };
}

/**
 * One KV head's part `[1, group * n, D + 1]` of query `[1, group * n, D + 2 + blocks]`, the last column the share of the
 * query's own block. Own keys `[kvHeads, n, D + 2 + blocks]` and values `[kvHeads, n, D + 1]` are those of the run's tokens.
 */
function attendAllBefore(
  graph: GraphBuilder,
  values: PrefillValues,
  layer: number,
  head: number,
  query: Value,
  ownKeys: Value,
  ownValues: Value,
): Value {
  const at = `/layers.${layer}/attn/head.${head}`;
  const prefixKey = graph.input(IO.prefixKey(layer, head), 'float');
  const prefixValue = graph.input(IO.prefixValue(layer, head), 'float');
  const logMass = graph.input(IO.prefixLogMass(layer, head), 'float');
  const join = (name: string, inputs: readonly Value[], axis: number) =>
    graph.node(`${at}/${name}`, 'Concat', inputs, { attributes: { axis } });
  const own = (name: string, source: Value) =>
    graph.node(`${at}/${name}`, 'Gather', [source, values.headIndex[head] as Value], { attributes: { axis: 0 } });
  const batch = (name: string, input: Value) => graph.node(`${at}/${name}`, 'Unsqueeze', [input, values.first]);

  const isBlock = graph.node(`${at}/is_block`, 'EyeLike', [logMass]);
  const ownKey = own('own_key', ownKeys);
  const ownValue = own('own_value', ownValues);
  const sum = IO.questionSum(layer, head);
  const asked = IO.askedRows(layer, head);
  const [output] = graph.conditional(
    `${at}/If`,
    values.asksOnly,
    // The keys are for the sums of the queries that count, of which a run of questions has none.
    [`${at}/output`, `${at}/keys`, sum, asked],
    () => {
      const entries = { prefixKey, prefixValue, logMass, isBlock, ownKey, ownValue };
      const found = attendAsking(graph, values, `${at}/question`, query, entries);
      return [found.output, graph.node(`${at}/only_own_keys`, 'Identity', [ownKey]), found.sum, found.asked];
    },
    () => {
      const columns = graph.node(`${at}/columns`, 'Pad', [
        join('mass_and_block', [logMass, isBlock], 1),
        values.blockColumns,
      ]);
      const keys = join('all_keys', [join('prefix_keys', [prefixKey, columns], 1), ownKey], 0);
      const joined = join('values', [join('prefix_values', [prefixValue, isBlock], 1), ownValue], 0);
      return [
        graph.node(
          `${at}/MultiHeadAttention`,
          'MultiHeadAttention',
          [query, batch('key_batch', keys), batch('value_batch', joined)],
          { domain: 'com.microsoft', attributes: { num_heads: 1, scale: { float: values.scale } } },
        ),
        keys,
        graph.node(`${at}/no_sum`, 'Identity', [values.noSum]),
        graph.node(`${at}/no_rows`, 'Identity', [values.noSum]),
      ];
    },
  );
  graph.output(sum, 'float', [1, 'columns']);
  graph.output(asked, 'float', ['rows', 'row_columns']);
  return output as Value;
}

/**
 * Outputs of the attention each entry received, from scores of its own for the queries that count, which are few. Called
 * when everything else is in the graph: the runtime executes the branch of the last node first, so in this order each sum
 * runs as soon as it can; otherwise what it needs of all layers and heads would be kept until the end.
 */
export function attentionSums(graph: GraphBuilder, step: StepValues): void {
  const { layers, kvHeads, headSize } = step.shape;
  const axis = graph.integers('columns_axis', [1]);
  const end = graph.integers('end', [2 ** 31 - 1]);
  const tokens = graph.node('/sums/tokens', 'Neg', ['/shapes/tokens']);
  const scoredRows = (name: string, source: Value) =>
    graph.node(name, 'Gather', [source, IO.scoredRows], { attributes: { axis: 1 } });
  // Beside the queries: log-mass counts, their own block and what they reach of the run's tokens is in the bias.
  const columns = graph.node('/sums/columns', 'Pad', [
    scoredRows('/sums/mass_column', '/mass_column/Expand'),
    graph.node(
      '/sums/padding',
      'Concat',
      [graph.integers('one_column', [0, 0, 0, 0, 0]), graph.node('/sums/blocks', 'Add', ['/shapes/blocks', axis])],
      { attributes: { axis: 0 } },
    ),
  ]);
  for (let layer = layers - 1; layer >= 0; layer--) {
    const from = `/layers.${layer}/attn`;
    const queries = graph.node(
      `${from}/scored_queries`,
      'Concat',
      [scoredRows(`${from}/scored_rows`, `${from}/q_rows`), columns],
      {
        attributes: { axis: 2 },
      },
    );
    for (let head = kvHeads - 1; head >= 0; head--) {
      const at = `${from}/head.${head}`;
      const query = graph.node(`${at}/scored_query`, 'Gather', [queries, `head_${head}`], { attributes: { axis: 0 } });
      const scores = graph.node(`${at}/scores`, 'FusedMatMul', [query, `${at}/keys`], {
        domain: 'com.microsoft',
        attributes: { transB: 1, alpha: { float: 1 / Math.sqrt(headSize) } },
      });
      const slice = (name: string, start: Value, stop: Value) =>
        graph.node(`${at}/${name}`, 'Slice', [scores, start, stop, axis]);
      const own = graph.node(`${at}/own_scores`, 'Add', [slice('all_own_scores', tokens, end), IO.scoredBias]);
      const allowed = graph.node(`${at}/allowed_scores`, 'Concat', [slice('prefix_scores', axis, tokens), own], {
        attributes: { axis: 1 },
      });
      const shares = graph.node(`${at}/Softmax`, 'Softmax', [allowed], { attributes: { axis: -1 } });
      const name = IO.attentionSum(layer, head);
      // Rows of weights times the shares: sums over queries, faster than ReduceSum along the first axis.
      graph.node(`${at}/sum`, 'MatMul', [IO.queryWeight, shares], { as: name });
      graph.output(name, 'float', ['sums', `entries.${layer}.${head} + n`]);
    }
  }
}
