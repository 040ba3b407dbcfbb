import { ELEMENT, type GraphBuilder, type Value } from './graph-builder.js';
import { IO } from './names.js';
import type { KvType, StepValues } from './step-values.js';

/** Values that all layers of a decode graph share, beside those of `StepValues`. */
export interface DecodeValues {
  readonly step: StepValues;
  readonly slots: number;
  readonly kvType: KvType;
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
  /** For runs of one token of one item; left out where there are several documents. */
  readonly lone: LoneValues | undefined;
  /** Bounds and axes of Slice. */
  readonly zero: Value;
  readonly one: Value;
  readonly end: Value;
}

export interface LoneValues {
  /** Bool `[1]`: whether the run is such a one. */
  readonly condition: Value;
  /** Targets of Reshape. */
  readonly byHead: Value;
  readonly sharesByHead: Value;
}

/** What one layer's attention is made of, whoever takes part. */
export interface LayerEntries {
  /** `[1, n, queryHeads * D]` after RoPE */
  readonly query: Value;
  /** `[1, n, kvHeads * D]` of the run's own tokens, keys after RoPE */
  readonly key: Value;
  readonly value: Value;
  /** `[items, kvHeads, c, D]` */
  readonly tailKey: Value;
  readonly tailValue: Value;
  /** One a KV head and slot, in the order of `headRows`. */
  readonly prefixes: readonly PrefixEntries[];
}

/** Entries of one KV head of one document's prefix; keys and values of the graph's `KvType`. */
export interface PrefixEntries {
  /** `[M, D]` */
  readonly key: Value;
  /** `[D, M]` */
  readonly value: Value;
  /** `[M]` */
  readonly logMass: Value;
}

export function decodeValues(graph: GraphBuilder, step: StepValues, slots: number, kvType: KvType): DecodeValues {
  const { kvHeads, queryHeads, headSize } = step.shape;
  const group = queryHeads / kvHeads;
  const rowsPerItem = graph.input(IO.rowsPerItem, 'int64');
  const tailBias = graph.input(IO.tailBias, 'float');
  const any = graph.integers('any', [-1]);
  const heads = graph.integers('kv_heads', [kvHeads]);
  const perHead = graph.integers('group_size', [group]);
  const size = graph.integers('head_size', [headSize]);
  const one = graph.integers('one', [1]);
  const shape = (name: string, dims: readonly Value[]) =>
    graph.node(`/shapes/${name}`, 'Concat', dims, { attributes: { axis: 0 } });
  const columns = graph.node('/shapes/columns', 'Shape', [tailBias], { attributes: { start: 3 } });
  const tail = graph.node('/shapes/tail', 'Sub', [columns, rowsPerItem]);
  const groupRows = graph.node('/shapes/group_rows', 'Mul', [rowsPerItem, perHead]);
  return {
    step,
    slots,
    kvType,
    headRows: graph.input(IO.headRows, 'int64'),
    toHeads: graph.input(IO.toHeads, 'int64'),
    toItems: graph.input(IO.toItems, 'int64'),
    tailBias,
    tailColumns: shape('tail_columns', [tail, rowsPerItem]),
    columns,
    queryByItem: shape('query_by_item', [any, rowsPerItem, heads, perHead, size]),
    keyByItem: shape('key_by_item', [any, rowsPerItem, heads, size]),
    groupRows: graph.integers('shape_group_rows', [0, 0, -1, headSize]),
    sharesByItem: shape('shares_by_item', [any, heads, groupRows, columns]),
    outputByItem: shape('output_by_item', [any, heads, perHead, rowsPerItem, size]),
    rows: graph.integers('shape_rows', [-1, headSize]),
    lone: slots === 1 ? loneValues(graph, step, one) : undefined,
    zero: graph.integers('zero', [0]),
    one,
    end: graph.integers('end', [2 ** 31 - 1]),
  };
}

function loneValues(graph: GraphBuilder, { shape }: StepValues, one: Value): LoneValues {
  const { kvHeads, queryHeads, headSize } = shape;
  return {
    condition: graph.node('/lone', 'Equal', [graph.node('/shapes/tokens', 'Shape', [IO.tokens]), one]),
    byHead: graph.integers('shape_by_head', [1, kvHeads, -1, headSize]),
    sharesByHead: graph.integers('shape_shares_by_head', [1, kvHeads, queryHeads / kvHeads, -1]),
  };
}

/** Keys or values `[items, kvHeads, c, D]` of the items' tails and `[items, kvHeads, r, D]` of the run's own tokens. */
interface OwnEntries {
  readonly tail: Value;
  readonly fresh: Value;
}

/** Scores of queries `[items, kvHeads, group * r, D]` with the tail and the run's own tokens: `[items, kvHeads, group * r, c + r]`. */
export function scoreOwn(
  graph: GraphBuilder,
  values: DecodeValues,
  at: string,
  query: Value,
  { tail, fresh }: OwnEntries,
): Value {
  const product = (name: string, keys: Value) =>
    graph.node(`${at}/${name}`, 'FusedMatMul', [query, keys], {
      domain: 'com.microsoft',
      attributes: { transB: 1, alpha: { float: scale(values.step) } },
    });
  const scores = graph.node(
    `${at}/all_scores`,
    'Concat',
    [product('tail_scores', tail), product('fresh_scores', fresh)],
    { attributes: { axis: -1 } },
  );
  return graph.node(`${at}/own_scores`, 'Add', [scores, values.tailBias]);
}

/** Shares `[items, kvHeads, group * r, c + r]` times the values of the tail, and of the run's own tokens: each `[items, kvHeads, group * r, D]`. */
export function valueOwn(
  graph: GraphBuilder,
  values: DecodeValues,
  at: string,
  shares: Value,
  { tail, fresh }: OwnEntries,
): Value[] {
  const names = [`${at}/tail_share`, `${at}/fresh_share`];
  const parts = graph.nodeWithOutputs(`${at}/shares_of_own`, 'Split', [shares, values.tailColumns], names, {
    attributes: { axis: 3 },
  });
  return [tail, fresh].map((entries, index) => {
    return graph.node(`${at}/own_values.${index}`, 'MatMul', [parts[index] as Value, entries]);
  });
}

/** What one KV head gives the rows of one slot: the shares `[rows, c + r]` of what is their own, and the prefix's part of the output `[rows, D]`. */
export interface HeadPart {
  readonly share: Value;
  readonly output: Value;
}

/** One KV head of one slot: the prefix is read in place, never copied. What is the rows' own comes first in the softmax. */
export function attendHead(
  graph: GraphBuilder,
  values: DecodeValues,
  at: string,
  prefix: PrefixEntries,
  query: Value,
  ownScores: Value,
): HeadPart {
  // The runtime has no float16 product on x86; a head converted at a time is still in the cache when its product begins.
  const float = (name: string, held: Value) =>
    values.kvType === 'f32' ? held : graph.node(`${at}/${name}`, 'Cast', [held], { attributes: { to: ELEMENT.float } });
  const key = float('key', prefix.key);
  const prefixScores = graph.node(`${at}/prefix_scores`, 'Gemm', [query, key, prefix.logMass], {
    attributes: { transB: 1, alpha: { float: scale(values.step) } },
  });
  const scores = graph.node(`${at}/scores`, 'Concat', [ownScores, prefixScores], { attributes: { axis: 1 } });
  const share = graph.node(`${at}/Softmax`, 'Softmax', [scores], { attributes: { axis: -1 } });
  const slice = (name: string, from: Value, to: Value) =>
    graph.node(`${at}/${name}`, 'Slice', [share, from, to, values.one]);
  const prefixShare = slice('prefix_share', values.columns, values.end);
  return {
    share: slice('own_share', values.zero, values.columns),
    output: graph.node(`${at}/Gemm`, 'Gemm', [prefixShare, float('value', prefix.value)], {
      attributes: { transB: 1 },
    }),
  };
}

const scale = ({ shape }: StepValues): number => 1 / Math.sqrt(shape.headSize);
