import type { LlamaShape } from '@app/onnx-graph';

/** Most query rows of a KV head that kept entries are matched to. */
export const MOST_ASKED_ROWS = 384;

/**
 * Most of them where a head keeps more than so many entries. These have freedom enough: of questions with 650 rows, 3,650 tokens
 * read, KL divergence was the same with 192 as with 384 at 35 % kept, but at 10 % 0.043 and 0.040.
 */
export const ROWS_OF_MANY_ENTRIES = { rows: 192, entries: 512 } as const;

/** What query rows of questions asked one KV head of a prefix, and what they got: n rows. */
export interface AskedHead {
  /** `[n, headSize]` after RoPE */
  readonly queries: Float32Array;
  /** `[n]` log of the sum of each row's exponentials over the prefix */
  readonly logSum: Float32Array;
  /** `[n]` share of its attention that the prefix had, times how much the row counts */
  readonly share: Float32Array;
  /** `[n, headSize]` what it got of the prefix's values: their mean by attention, times `share` */
  readonly output: Float32Array;
}

/** Numbers of one row of one head, as the graph gives them (`IO.askedRows`) and as they are kept. */
export const askedRowSize = (headSize: number): number => 2 * headSize + 2;

/** Rows that are kept of so many tokens of questions. */
export const askedRowCount = (tokens: number, group: number): number => Math.min(group * tokens, MOST_ASKED_ROWS);

/** Rows that so many kept entries are matched to, of those there are. */
export const matchedRowCount = (rows: number, entries: number): number =>
  entries > ROWS_OF_MANY_ENTRIES.entries ? Math.min(rows, ROWS_OF_MANY_ENTRIES.rows) : rows;

/** Shares below are taken for this much: their rows hardly count. */
const LEAST_SHARE = 1e-6;

/**
 * The rows of all KV heads, collected run by run. Every question counts the same, whatever its length. Of more rows than are
 * kept, some of all tokens and query heads are; so are the first of these, however few.
 */
export class AskedRows {
  /** One a layer and KV head, at `layer * kvHeads + head`. */
  readonly heads: readonly AskedHead[];
  private readonly group: number;
  private readonly headSize: number;
  /** Where the row of a token and query head goes, at `token * group + head`; from the kept rows' number on, nowhere. */
  private readonly places: Uint32Array;
  /** Tokens seen. */
  private passed = 0;

  /**
   * @param tokens of all questions, at least one
   * @param questions how many there are
   */
  constructor(
    { layers, kvHeads, queryHeads, headSize }: LlamaShape,
    private readonly tokens: number,
    private readonly questions: number,
  ) {
    this.group = queryHeads / kvHeads;
    this.headSize = headSize;
    this.places = spreadPlaces(tokens, this.group);
    const kept = askedRowCount(tokens, this.group);
    const numbers = (each: number) => new Float32Array(kept * each);
    this.heads = Array.from({ length: layers * kvHeads }, () => ({
      queries: numbers(headSize),
      logSum: numbers(1),
      share: numbers(1),
      output: numbers(headSize),
    }));
  }

  /**
   * Adds what a run of questions gave.
   * @param rows one a layer and KV head, `[group * n, 2 * headSize + 2]` as of `IO.askedRows`
   * @param counted for each token of the run 1 / tokens of its question; the others of the n fill its last block
   */
  add(rows: readonly Float32Array[], counted: Float32Array): void {
    const { group, places } = this;
    const width = askedRowSize(this.headSize);
    const n = (rows[0] as Float32Array).length / width / group;
    const kept = askedRowCount(this.tokens, group);
    const taken: { readonly from: number; readonly to: number; readonly counts: number }[] = [];
    for (const [token, perQuestion] of counted.entries()) {
      // Squares are summed, so the root of what makes all questions equal; 1 where they are equally long.
      const counts = Math.sqrt((perQuestion * this.tokens) / this.questions);
      for (let head = 0; head < group; head++) {
        const to = places[this.passed * group + head]!;
        if (to < kept) taken.push({ from: (head * n + token) * width, to, counts });
      }
      this.passed++;
    }
    for (const [index, run] of rows.entries()) {
      for (const { from, to, counts } of taken) this.copy(this.heads[index] as AskedHead, to, run, from, counts);
    }
  }

  private copy(
    { queries, logSum, share, output }: AskedHead,
    to: number,
    row: Float32Array,
    from: number,
    counts: number,
  ): void {
    const { headSize } = this;
    for (let d = 0; d < headSize; d++) {
      queries[to * headSize + d] = row[from + d]!;
      output[to * headSize + d] = counts * row[from + headSize + d]!;
    }
    share[to] = counts * Math.max(row[from + 2 * headSize]!, LEAST_SHARE);
    logSum[to] = row[from + 2 * headSize + 1]!;
  }
}

/** Fractional parts of its multiples lie evenly, however many there are. */
const GOLDEN = (Math.sqrt(5) - 1) / 2;

/** The order in which rows are taken, at `token * group + head`: at any time tokens spread evenly of each head, each head at other tokens. */
function spreadPlaces(tokens: number, group: number): Uint32Array {
  const keys = Float64Array.from(
    { length: tokens * group },
    (_, row) => (Math.floor(row / group) * GOLDEN + (row % group) / group) % 1,
  );
  const places = new Uint32Array(keys.length);
  const order = Uint32Array.from(keys.keys()).sort((a, b) => keys[a]! - keys[b]!);
  for (const [place, row] of order.entries()) places[row] = place;
  return places;
}

/** The first `count` rows, in the arrays they lie in. */
export function firstRows({ queries, logSum, share, output }: AskedHead, count: number): AskedHead {
  const headSize = queries.length / share.length;
  return {
    queries: queries.subarray(0, count * headSize),
    logSum: logSum.subarray(0, count),
    share: share.subarray(0, count),
    output: output.subarray(0, count * headSize),
  };
}
