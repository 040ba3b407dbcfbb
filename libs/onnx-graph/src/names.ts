/** Names of the graphs' inputs and outputs: the wiring between a graph and the engine that runs it. */
export const IO = {
  /** int64 `[n]` */
  tokens: 'tokens',
  /** int64 `[1, n]` position of each token in the original sequence */
  positions: 'positions',
  /** int64 `[m]` rows of the n tokens whose logits are wanted */
  logitRows: 'logit_rows',
  /** float `[m, vocabulary]` */
  logits: 'logits',
  /** float `[group * n, t + n]`: 0 where a query may look, -inf elsewhere; t is 0 in the prefill graph */
  tailBias: 'tail_bias',
  /** float `[s, group * n]`: how much each query counts in each of s sums of attention; s may be 0 (prefill graph) */
  queryWeight: 'query_weight',
  /** int64 `[1]`: t + n (decode graph) */
  tailLength: 'tail_length',
  /** float `[M, D]`, one a layer and KV head, each with its own M */
  prefixKey: (layer: number, head: number) => `prefix_key.${layer}.${head}`,
  prefixValue: (layer: number, head: number) => `prefix_value.${layer}.${head}`,
  /** float `[M]` log of the tokens each entry stands for (decode graph) */
  prefixLogMass: (layer: number, head: number) => `prefix_log_mass.${layer}.${head}`,
  /** float `[t, kvHeads, D]` whole tokens after the prefix (decode graph) */
  tailKey: (layer: number) => `tail_key.${layer}`,
  tailValue: (layer: number) => `tail_value.${layer}`,
  /** float `[1, n, kvHeads * D]` keys, after RoPE, of the n tokens */
  newKey: (layer: number) => `new_key.${layer}`,
  /** float `[n, kvHeads * D]` */
  newValue: (layer: number) => `new_value.${layer}`,
  /** float `[s, M + n]` attention received, summed over the n queries and the query heads of the KV head by `queryWeight` (prefill graph) */
  attentionSum: (layer: number, head: number) => `attention_sum.${layer}.${head}`,
} as const;
