/** Names of the graphs' inputs and outputs: the wiring between a graph and the engine that runs it. */
export const IO = {
  /** int64 `[n]` */
  tokens: 'tokens',
  /** int64 `[1, n]` position of each token in the original sequence */
  positions: 'positions',
  /** int64 `[m]` rows of the n tokens whose logits are wanted */
  logitRows: 'logit_rows',
  /** float `[1, m, vocabulary]` */
  logits: 'logits',
  /** int64 `[1, m]` the token with the largest logit, the first of equals (decode graphs) */
  likeliest: 'likeliest',
  /** int64 `[s]` rows of the m whose probabilities are wanted (decode graphs) */
  sampledRows: 'sampled_rows',
  /** float `[s, 1]` 1 / temperature of each of them (decode graphs) */
  inverseTemperature: 'inverse_temperature',
  /** float `[1, s, vocabulary]` (decode graphs) */
  probabilities: 'probabilities',
  /** float `[blocks, b, b]` among the tokens of each block, n = blocks * b: 0 where a query may look, -inf elsewhere (prefill graph) */
  blockBias: 'block_bias',
  /**
   * float `[n, blocks]`: what a query may see of the tokens before its block is all that has 0 in the column where the query has 1;
   * a key that is out of its reach has -`OUT_OF_REACH` there (prefill graph)
   */
  queryReach: 'query_reach',
  keyReach: 'key_reach',
  /**
   * float: 0 where a query may look, -inf elsewhere.
   * `[items, 1, group * r, c + r]`, or with 1 in place of group * r where r is 1 (decode graphs).
   */
  tailBias: 'tail_bias',
  /** int64 `[r]` which of the group * n query rows count in sums of attention; r may be 0 (prefill graph) */
  scoredRows: 'scored_rows',
  /** float `[r, n]`: 0 where such a query may look, -inf elsewhere (prefill graph) */
  scoredBias: 'scored_bias',
  /** float `[s, r]`: how much each of them counts in each of s sums of attention; s may be 0 (prefill graph) */
  queryWeight: 'query_weight',
  /** bool `[1]`: whether the run is one of questions, for the attention of all its queries alone (prefill graph) */
  asksOnly: 'asks_only',
  /** float `[1, group * n]`: how much each query row of such a run counts, else `[1, 0]` (prefill graph) */
  rowWeight: 'row_weight',
  /** int64 `[1]` r: the n tokens of a run are those of n / r items, r in a row each (decode graphs) */
  rowsPerItem: 'rows_per_item',
  /** int64 `[kvHeads * slots]` query rows of each KV head and slot (decode graphs) */
  headRows: 'head_rows',
  /** int64 `[queryHeads * n]` for each row in order (KV head, slot, item, query head, token) its place in order (item, KV head, query head, token) */
  toHeads: 'to_heads',
  /** int64 `[queryHeads * n]` the other way round */
  toItems: 'to_items',
  /** float `[1 + M, D]`, one a layer and KV head, each with its own M, row 0 zero (prefill graph) */
  prefixKey: (layer: number, head: number) => `prefix_key.${layer}.${head}`,
  prefixValue: (layer: number, head: number) => `prefix_value.${layer}.${head}`,
  /** float `[1 + M, 1]` log of the tokens each entry stands for, added to its logits; row 0 zero (prefill graph) */
  prefixLogMass: (layer: number, head: number) => `prefix_log_mass.${layer}.${head}`,
  /**
   * `[1 + M, D + 2]`, one a layer and KV head, each with its own M, of the graph's `KvType` (decode graphs): of each entry its key, its
   * log-mass, added to its logits, and 0. Entry 0 stands for what is an item's own: zeros, and last sqrt(D).
   */
  heldKey: (layer: number, head: number) => `held_key.${layer}.${head}`,
  /** `[D, 1 + M]` values channel by channel, 0 for entry 0 (decode graphs) */
  heldValue: (layer: number, head: number) => `held_value.${layer}.${head}`,
  /** The name that an input of a held prefix has for the document of a slot (decode graphs); slot 0 has the plain one. */
  inSlot: (name: string, slot: number) => (slot === 0 ? name : `${name}@${slot}`),
  /** float `[items, kvHeads, c, D]` whole tokens of each item after its prefix, c at most for each (decode graphs) */
  tailKey: (layer: number) => `tail_key.${layer}`,
  tailValue: (layer: number) => `tail_value.${layer}`,
  /** float `[1, n, kvHeads * D]` keys, after RoPE, of the n tokens (prefill graph) */
  newKey: (layer: number) => `new_key.${layer}`,
  /** float `[1, n, kvHeads * D]` (prefill graph) */
  newValue: (layer: number) => `new_value.${layer}`,
  /** float `[2 * layers, n, kvHeads * D]` the same of all layers, key and value of each in turn (decode graphs) */
  newEntries: 'new_entries',
  /** float `[s, M + n]` attention received, summed over the n queries and the query heads of the KV head by `queryWeight` (prefill graph) */
  attentionSum: (layer: number, head: number) => `attention_sum.${layer}.${head}`,
  /** float `[1, 1 + M]` the same by `rowWeight` for a run of questions, after a 0; else empty (prefill graph) */
  questionSum: (layer: number, head: number) => `question_sum.${layer}.${head}`,
  /**
   * float `[group * n, 2 * D + 2]` of a run of questions, else empty (prefill graph): each row's query after RoPE; what it got of the
   * prefix's values; the share of its attention that these had; log of the sum of its exponentials over them
   */
  askedRows: (layer: number, head: number) => `asked_rows.${layer}.${head}`,
} as const;

/** Columns of a held key beside the key itself: log-mass, and what marks entry 0. */
export const HELD_KEY_COLUMNS = 2;

/** Added to scores that must not count: far beyond any score, and small enough for the sum to be finite. */
export const OUT_OF_REACH = 1e6;
