import type { GgufModel } from '@app/gguf-model';

/** One KV head's entries: what a query of that head may look at before the tokens of the step. */
export interface NaiveEntries {
  /** `[M][headSize]`, after RoPE */
  keys: number[][];
  values: number[][];
  /** `[M]` added to the attention logit */
  logMass: number[];
  /** `[M]` attention received so far, summed over queries and the query heads of the KV head */
  attention: number[];
}

/** A llama-type decoder written for reading: one token at a time, plain numbers, no batching. The reference of the graphs. */
export class NaiveLlama {
  private readonly weights = new Map<string, Float32Array>();

  private constructor(private readonly model: GgufModel) {}

  /** @param change what is made of each tensor, its name given without `.weight` */
  static async load(
    model: GgufModel,
    change: (name: string, values: Float32Array) => Float32Array = (_, values) => values,
  ): Promise<NaiveLlama> {
    const naive = new NaiveLlama(model);
    const { layers } = model.hyperparameters;
    const blocks = [
      'attn_norm',
      'attn_q',
      'attn_k',
      'attn_v',
      'attn_output',
      'ffn_norm',
      'ffn_gate',
      'ffn_up',
      'ffn_down',
    ];
    const names = Array.from({ length: layers }, (_, i) => blocks.map((block) => `blk.${i}.${block}.weight`)).flat();
    for (const name of [...names, 'token_embd.weight', 'output_norm.weight', 'output.weight']) {
      if (!model.has(name)) continue;
      naive.weights.set(name, change(name.replace('.weight', ''), await model.readTensor(name)));
    }
    return naive;
  }

  /** A cache of no entries, one list a layer and KV head at `layer * kvHeads + head`. */
  emptyCache(): NaiveEntries[] {
    const { layers, kvHeads } = this.model.hyperparameters;
    return Array.from({ length: layers * kvHeads }, () => ({ keys: [], values: [], logMass: [], attention: [] }));
  }

  /** Appends one token at a position to the cache; its logits `[vocabulary]`. */
  step(token: number, position: number, cache: NaiveEntries[]): number[] {
    const { hidden, layers, rmsEpsilon } = this.model.hyperparameters;
    let stream = Array.from(this.weight('token_embd.weight').subarray(token * hidden, (token + 1) * hidden));
    for (let layer = 0; layer < layers; layer++) {
      const at = `blk.${layer}`;
      const normed = rmsNorm(stream, this.weight(`${at}.attn_norm.weight`), rmsEpsilon);
      const attended = this.attend(layer, normed, position, cache);
      stream = add(stream, this.multiply(`${at}.attn_output.weight`, attended));
      const input = rmsNorm(stream, this.weight(`${at}.ffn_norm.weight`), rmsEpsilon);
      const gate = this.multiply(`${at}.ffn_gate.weight`, input);
      const up = this.multiply(`${at}.ffn_up.weight`, input);
      const gated = gate.map((value, i) => (value / (1 + Math.exp(-value))) * up[i]!);
      stream = add(stream, this.multiply(`${at}.ffn_down.weight`, gated));
    }
    const output = this.weights.has('output.weight') ? 'output.weight' : 'token_embd.weight';
    return this.multiply(output, rmsNorm(stream, this.weight('output_norm.weight'), rmsEpsilon));
  }

  private attend(layer: number, normed: number[], position: number, cache: NaiveEntries[]): number[] {
    const { queryHeads, kvHeads, headSize } = this.model.hyperparameters;
    const queries = this.multiply(`blk.${layer}.attn_q.weight`, normed);
    const keys = this.multiply(`blk.${layer}.attn_k.weight`, normed);
    const values = this.multiply(`blk.${layer}.attn_v.weight`, normed);
    const head = (vector: number[], index: number) => vector.slice(index * headSize, (index + 1) * headSize);
    for (let kv = 0; kv < kvHeads; kv++) {
      const entries = cache[layer * kvHeads + kv]!;
      entries.keys.push(this.rotate(head(keys, kv), position));
      entries.values.push(head(values, kv));
      entries.logMass.push(0);
      entries.attention.push(0);
    }
    const result: number[] = [];
    for (let index = 0; index < queryHeads; index++) {
      const entries = cache[layer * kvHeads + Math.floor(index / (queryHeads / kvHeads))]!;
      const query = this.rotate(head(queries, index), position);
      const scores = entries.keys.map((key, i) => dot(query, key) / Math.sqrt(headSize) + entries.logMass[i]!);
      const shares = softmax(scores);
      shares.forEach((share, i) => {
        entries.attention[i]! += share;
      });
      for (let d = 0; d < headSize; d++) {
        result.push(entries.values.reduce((sum, value, i) => sum + shares[i]! * value[d]!, 0));
      }
    }
    return result;
  }

  /** RoPE over adjacent pairs, as llama.cpp keeps the rows of q and k. */
  private rotate(vector: number[], position: number): number[] {
    const { ropeDimensions, ropeBase, ropeScale, ropeFrequencyFactors } = this.model.hyperparameters;
    const rotated = [...vector];
    for (let i = 0; i < ropeDimensions; i += 2) {
      const factor = ropeFrequencyFactors?.[i / 2] ?? 1;
      const angle = (position / ropeScale) * (ropeBase ** (-i / ropeDimensions) / factor);
      rotated[i] = vector[i]! * Math.cos(angle) - vector[i + 1]! * Math.sin(angle);
      rotated[i + 1] = vector[i]! * Math.sin(angle) + vector[i + 1]! * Math.cos(angle);
    }
    return rotated;
  }

  private multiply(name: string, vector: number[]): number[] {
    const weight = this.weight(name);
    const columns = vector.length;
    return Array.from({ length: weight.length / columns }, (_, row) => {
      let sum = 0;
      for (let i = 0; i < columns; i++) sum += weight[row * columns + i]! * vector[i]!;
      return sum;
    });
  }

  private weight(name: string): Float32Array {
    const found = this.weights.get(name);
    if (found === undefined) throw new Error(`Expected a tensor '${name}'.`);
    return found;
  }
}

function rmsNorm(vector: number[], weight: Float32Array, epsilon: number): number[] {
  const scale = 1 / Math.sqrt(dot(vector, vector) / vector.length + epsilon);
  return vector.map((value, i) => value * scale * weight[i]!);
}

function softmax(scores: number[]): number[] {
  const largest = Math.max(...scores);
  const weights = scores.map((score) => Math.exp(score - largest));
  const sum = weights.reduce((a, b) => a + b, 0);
  return weights.map((weight) => weight / sum);
}

const dot = (a: number[], b: number[]): number => a.reduce((sum, value, i) => sum + value * b[i]!, 0);
const add = (a: number[], b: number[]): number[] => a.map((value, i) => value + b[i]!);
