import { ELEMENT, type GraphBuilder, type Value } from './graph-builder.js';
import { HELD_KEY_COLUMNS, IO } from './names.js';
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
  /** Columns of the tail and of this run, c and r: sizes of Split. */
  readonly tailColumns: Value;
  /** Targets of Reshape. */
  readonly queryByItem: Value;
  readonly keyByItem: Value;
  readonly groupRows: Value;
  readonly extendedRows: Value;
  readonly byItem: Value;
  readonly outputByItem: Value;
  /** `[items, kvHeads, group * r, 1]` what every query has in the column of log-mass. */
  readonly massColumn: Value;
  /** For runs of one token of one item; left out where there are several documents. */
  readonly lone: LoneValues | undefined;
  /** The last axis; and bounds of Slice. */
  readonly last: Value;
  readonly zero: Value;
  readonly one: Value;
  /** The float 1. */
  readonly unit: Value;
}

export interface LoneValues {
  /** Bool `[1]`: whether the run is such a one. */
  readonly condition: Value;
  /** Target of Reshape. */
  readonly byHead: Value;
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

/** Entries of one KV head of one document's prefix, of the graph's `KvType`, see `IO.heldKey`. */
export interface PrefixEntries {
  /** `[1 + M, D + 2]` */
  readonly key: Value;
  /** `[D, 1 + M]` */
  readonly value: Value;
}

export function decodeValues(graph: GraphBuilder, step: StepValues, slots: number, kvType: KvType): DecodeValues {
  const { kvHeads, queryHeads, headSize } = step.shape;
  const group = queryHeads / kvHeads;
  const rowsPerItem = graph.input(IO.rowsPerItem, 'int64');
  const tailBias = graph.input(IO.tailBias, 'float');
  const any = graph.integers('any', [-1]);
  const one = graph.integers('one', [1]);
  const heads = graph.integers('kv_heads', [kvHeads]);
  const perHead = graph.integers('group_size', [group]);
  const size = graph.integers('head_size', [headSize]);
  const shape = (name: string, dims: readonly Value[]) =>
    graph.node(`/shapes/${name}`, 'Concat', dims, { attributes: { axis: 0 } });
  const tokens = graph.node('/shapes/tokens', 'Shape', [IO.tokens]);
  const items = graph.node('/shapes/items', 'Div', [tokens, rowsPerItem]);
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
    queryByItem: shape('query_by_item', [any, rowsPerItem, heads, perHead, size]),
    keyByItem: shape('key_by_item', [any, rowsPerItem, heads, size]),
    groupRows: graph.integers('shape_group_rows', [0, 0, -1, headSize]),
    extendedRows: graph.integers('shape_extended_rows', [-1, headSize + HELD_KEY_COLUMNS]),
    byItem: shape('by_item', [items, heads, groupRows, any]),
    outputByItem: shape('output_by_item', [any, heads, perHead, rowsPerItem, size]),
    massColumn: graph.node('/mass_column/Expand', 'Expand', [
      graph.float('inverse_scale', Math.sqrt(headSize)),
      shape('mass_column', [items, heads, groupRows, one]),
    ]),
    lone: slots === 1 ? loneValues(graph, step, tokens, one) : undefined,
    last: graph.integers('last_axis', [-1]),
    zero: graph.integers('zero', [0]),
    one,
    unit: graph.float('unit', 1),
  };
}

function loneValues(graph: GraphBuilder, { shape }: StepValues, tokens: Value, one: Value): LoneValues {
  return {
    condition: graph.node('/lone', 'Equal', [tokens, one]),
    byHead: graph.integers('shape_by_head', [1, shape.kvHeads, -1, shape.headSize]),
  };
}

/** Keys or values `[items, kvHeads, c, D]` of the items' tails and `[items, kvHeads, r, D]` of the run's own tokens. */
interface OwnEntries {
  readonly tail: Value;
  readonly fresh: Value;
}

/** Attention of queries `[items, kvHeads, group * r, D]` to the tail and the run's own tokens alone. */
export interface OwnAttention {
  /** `[items, kvHeads, group * r, c + r]` */
  readonly shares: Value;
  /** `[items, kvHeads, group * r, 1]` of each row */
  readonly largestScore: Value;
  readonly largestShare: Value;
}

export function attendOwn(
  graph: GraphBuilder,
  values: DecodeValues,
  at: string,
  query: Value,
  { tail, fresh }: OwnEntries,
): OwnAttention {
  const product = (name: string, keys: Value) =>
    graph.node(`${at}/${name}`, 'FusedMatMul', [query, keys], {
      domain: 'com.microsoft',
      attributes: { transB: 1, alpha: { float: scale(values.step) } },
    });
  const parts = [product('tail_scores', tail), product('fresh_scores', fresh)];
  const all = graph.node(`${at}/all_scores`, 'Concat', parts, { attributes: { axis: -1 } });
  const scores = graph.node(`${at}/own_scores`, 'Add', [all, values.tailBias]);
  const shares = graph.node(`${at}/shares_among_own`, 'Softmax', [scores], { attributes: { axis: -1 } });
  const largest = (name: string, of: Value) =>
    graph.node(`${at}/largest_own_${name}`, 'ReduceMax', [of, values.last], { attributes: { keepdims: 1 } });
  return { shares, largestScore: largest('score', scores), largestShare: largest('share', shares) };
}

/** What prefixes give the rows of an item and KV head. */
export interface PrefixPart {
  /** `[items, kvHeads, group * r, D]` */
  readonly output: Value;
  /** `[items, kvHeads, group * r, 1]` share of entry 0, which counts for the largest of the rows' own scores alone */
  readonly ownShare: Value;
}

/** The parts of all heads as one, both outputs and shares by `join`. */
export function joinHeads(
  heads: readonly PrefixPart[],
  join: (name: string, parts: readonly Value[]) => Value,
): PrefixPart {
  return {
    output: join(
      'outputs',
      heads.map(({ output }) => output),
    ),
    ownShare: join(
      'own_shares',
      heads.map(({ ownShare }) => ownShare),
    ),
  };
}

/**
 * Attention to everything, `[items, kvHeads, group * r, D]`: the prefix's part, and the values of what is the rows' own. With share p of
 * entry 0 and all own exponentials Z times the largest, Z being 1 / the largest own share, own ones weigh Z p, and everything
 * 1 - p + Z p. So no logarithm of Z is an entry's score: the runtime's depends on where in an array a number lies, and an answer
 * would depend on who is answered beside it.
 */
export function joinOwn(
  graph: GraphBuilder,
  values: DecodeValues,
  at: string,
  { output, ownShare }: PrefixPart,
  own: OwnAttention,
  { tail, fresh }: OwnEntries,
): Value {
  const weight = graph.node(`${at}/own_weight`, 'Div', [ownShare, own.largestShare]);
  const more = graph.node(`${at}/more_than_share`, 'Sub', [weight, ownShare]);
  const total = graph.node(`${at}/total`, 'Add', [more, values.unit]);
  const shares = graph.node(`${at}/shares`, 'Mul', [own.shares, weight]);
  const names = [`${at}/tail_shares`, `${at}/fresh_shares`];
  const parts = graph.nodeWithOutputs(`${at}/shares_of_own`, 'Split', [shares, values.tailColumns], names, {
    attributes: { axis: 3 },
  });
  const ofOwn = [tail, fresh].map((entries, index) =>
    graph.node(`${at}/own_values.${index}`, 'MatMul', [parts[index] as Value, entries]),
  );
  const sum = graph.node(`${at}/sum`, 'Sum', [output, ...ofOwn]);
  return graph.node(`${at}/output`, 'Div', [sum, total]);
}

/** Queries `[items, kvHeads, group * r, D]` with what finds log-masses and what is their own: `[items, kvHeads, group * r, D + 2]`. */
export function extendQuery(
  graph: GraphBuilder,
  { massColumn }: DecodeValues,
  at: string,
  query: Value,
  { largestScore }: OwnAttention,
): Value {
  return graph.node(`${at}/q_extended`, 'Concat', [query, massColumn, largestScore], { attributes: { axis: 3 } });
}

/**
 * One KV head of one slot: queries `[..., rows, D + 2]` -> the prefix's part of the output `[..., rows, D]` and the share of
 * entry 0 `[..., rows, 1]`. The prefix is read in place, never copied.
 */
export function attendHead(
  graph: GraphBuilder,
  { step, kvType, zero, one, last }: DecodeValues,
  at: string,
  prefix: PrefixEntries,
  query: Value,
): PrefixPart {
  // The runtime has no float16 product on x86; a head converted at a time is still in the cache when its product begins.
  const float = (name: string, held: Value) =>
    kvType === 'f32' ? held : graph.node(`${at}/${name}`, 'Cast', [held], { attributes: { to: ELEMENT.float } });
  const product = (name: string, a: Value, b: Value, alpha = 1) =>
    graph.node(`${at}/${name}`, 'FusedMatMul', [a, b], {
      domain: 'com.microsoft',
      attributes: { transB: 1, alpha: { float: alpha } },
    });
  const scores = product('scores', query, float('key', prefix.key), scale(step));
  const shares = graph.node(`${at}/shares`, 'Softmax', [scores], { attributes: { axis: -1 } });
  return {
    output: product('output', shares, float('value', prefix.value)),
    // Not a channel of the values: products of 65 columns take a third longer than those of 64.
    ownShare: graph.node(`${at}/own_share`, 'Slice', [shares, zero, one, last]),
  };
}

const scale = ({ shape }: StepValues): number => 1 / Math.sqrt(shape.headSize);
