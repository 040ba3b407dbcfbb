import type { LlamaShape } from '@app/onnx-graph';

/** Most query rows of a KV head that kept entries are matched to; of more, as many spread evenly. */
export const MOST_ASKED_ROWS = 384;

/** What query rows of questions asked one KV head of a prefix, and what they got: n rows. */
export interface AskedHead {
  /** `[n, headSize]` after RoPE */
  readonly queries: Float32Array;
  /** `[n]` log of the sum of each row's exponentials over the prefix */
  readonly logSum: Float32Array;
  /** `[n]` share of its attention that the prefix had */
  readonly share: Float32Array;
  /** `[n, headSize]` what it got of the prefix's values: their mean by attention, times the share */
  readonly output: Float32Array;
}

/** Bytes of one row of one head. */
export const askedRowBytes = (headSize: number): number => 2 * (headSize + 1) * Float32Array.BYTES_PER_ELEMENT;

/** Shares below are taken for this much: their rows hardly count. */
const LEAST_SHARE = 1e-6;

/** The rows of all KV heads, collected run by run. */
export class AskedRows {
  /** One a layer and KV head, at `layer * kvHeads + head`. */
  readonly heads: readonly AskedHead[];
  /** Query rows there will be in all, and how many are kept. */
  private readonly all: number;
  private readonly kept: number;
  private readonly group: number;
  private readonly headSize: number;
  private passed = 0;
  private collected = 0;

  /** @param tokens of all questions */
  constructor({ layers, kvHeads, queryHeads, headSize }: LlamaShape, tokens: number) {
    this.group = queryHeads / kvHeads;
    this.headSize = headSize;
    this.all = this.group * tokens;
    this.kept = Math.min(this.all, MOST_ASKED_ROWS);
    const numbers = (each: number) => new Float32Array(this.kept * each);
    this.heads = Array.from({ length: layers * kvHeads }, () => ({
      queries: numbers(headSize),
      logSum: numbers(1),
      share: numbers(1),
      output: numbers(headSize),
    }));
  }

  /**
   * Adds what a run of questions gave.
   * @param rows one a layer and KV head, `[group * n, 2 * headSize + 3]` as of `IO.askedRows`
   * @param tokens of the run; the others of the n fill its last block
   */
  add(rows: readonly Float32Array[], tokens: number): void {
    const { group, headSize } = this;
    const width = 2 * headSize + 3;
    const n = (rows[0] as Float32Array).length / width / group;
    for (let token = 0; token < tokens; token++) {
      for (let head = 0; head < group; head++) {
        const before = Math.floor((this.passed * this.kept) / this.all);
        this.passed++;
        if (Math.floor((this.passed * this.kept) / this.all) === before) continue;
        const from = (head * n + token) * width;
        for (const [index, run] of rows.entries()) this.copy(this.heads[index] as AskedHead, run, from);
        this.collected++;
      }
    }
  }

  private copy({ queries, logSum, share, output }: AskedHead, row: Float32Array, from: number): void {
    const { headSize, collected } = this;
    queries.set(row.subarray(from, from + headSize), collected * headSize);
    output.set(row.subarray(from + headSize, from + 2 * headSize), collected * headSize);
    const rest = from + 2 * headSize;
    share[collected] = Math.max(1 - row[rest]! - row[rest + 1]!, LEAST_SHARE);
    logSum[collected] = row[rest + 2]! + Math.log(share[collected]!);
  }
}
