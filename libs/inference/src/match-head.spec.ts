import { type KvType, MASS_POWERS, MASS_REACH, RIDGE } from '@app/onnx-graph';
import type { InferenceSession } from 'onnxruntime-node';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type AskedHead, AskedRows, firstRows, ROWS_OF_MANY_ENTRIES } from './asked-rows.js';
import { compressHeads } from './compress-heads.js';
import { type HeldHead, holdAs, holdHead, type RowEntries } from './held-prefix.js';
import { matchHead, openMatching } from './match-head.js';
import { seededRandom } from './random.js';
import { ReadingHead } from './reading-head.js';
import { expectClose } from './testing/expect-close.js';

const D = 8;
const random = seededRandom(3);
const rowsOf = (count: number, scale = 1) =>
  Array.from({ length: count }, () => Array.from({ length: D }, () => scale * (2 * random() - 1)));
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);

/** Entries of one head, and what one query gets of them. */
interface Entries {
  readonly keys: number[][];
  readonly values: number[][];
  readonly mass: number[];
}
function attend({ keys, values, mass }: Entries, query: readonly number[]): { sum: number; output: number[] } {
  const parts = keys.map((key, i) => mass[i]! * Math.exp(dot(query, key) / Math.sqrt(D)));
  const sum = parts.reduce((a, b) => a + b, 0);
  const output = query.map((_, d) => values.reduce((total, value, i) => total + (parts[i]! / sum) * value[d]!, 0));
  return { sum, output };
}

/** What queries asked of all entries, their own tokens having the rest of the attention. */
function askedHead(all: Entries, queries: readonly number[][], shares: readonly number[]): AskedHead {
  const got = queries.map((query) => attend(all, query));
  return {
    queries: Float32Array.from(queries.flat()),
    logSum: Float32Array.from(got, ({ sum }) => Math.log(sum)),
    share: Float32Array.from(shares),
    output: Float32Array.from(got.flatMap(({ output }, row) => output.map((x) => shares[row]! * x))),
  };
}

const rows = ({ keys, values, mass }: Entries): RowEntries => ({
  keys: Float32Array.from(keys.flat()),
  values: Float32Array.from(values.flat()),
  logMass: Float32Array.from(mass, Math.log),
});

/** What was given to be held. */
function rowsOfHeld({ entries, keys, values }: HeldHead<Float32Array>): RowEntries {
  const key = (i: number) => keys.subarray((1 + i) * (D + 2), (2 + i) * (D + 2));
  const each = Array.from({ length: entries }, (_, i) => i);
  return {
    keys: Float32Array.from(each.flatMap((i) => [...key(i).subarray(0, D)])),
    values: Float32Array.from(
      each.flatMap((i) => Array.from({ length: D }, (_, d) => values[d * (1 + entries) + 1 + i]!)),
    ),
    logMass: Float32Array.from(each, (i) => key(i)[D]!),
  };
}

/** As `buildMatchGraph` says, in float64, the ridge solved exactly by elimination. */
function naively(kept: Entries, asked: AskedHead): Entries {
  const n = asked.share.length;
  const query = (row: number) => [...asked.queries.subarray(row * D, (row + 1) * D)];
  const A = Array.from({ length: n }, (_, row) =>
    kept.keys.map((key) => Math.exp(dot(query(row), key) / Math.sqrt(D) - asked.logSum[row]!)),
  );
  let mass = [...kept.mass];
  for (const power of MASS_POWERS) {
    const found = A.map((row) => dot(row, mass));
    const sum = (of: (row: number) => number) =>
      A.reduce((total, _, row) => total + asked.share[row]! ** 2 * of(row), 0);
    mass = mass.map((m, j) => m * (sum((row) => A[row]![j]!) / sum((row) => A[row]![j]! * found[row]!)) ** power);
  }
  mass = mass.map((m, j) => Math.min(Math.max(m, MASS_REACH.down * kept.mass[j]!), MASS_REACH.up * kept.mass[j]!));
  const P = A.map((row, r) => {
    const sum = dot(row, mass);
    return row.map((part, j) => (asked.share[r]! * part * mass[j]!) / sum);
  });
  const gram = P.map((a) => P.map((b) => dot(a, b)));
  const ridge = (RIDGE * gram.reduce((sum, row, i) => sum + row[i]!, 0)) / n;
  for (const [i, row] of gram.entries()) row[i]! += ridge;
  const missing = P.map((row, r) =>
    Array.from(
      { length: D },
      (_, d) =>
        asked.output[r * D + d]! -
        dot(
          row,
          kept.values.map((value) => value[d]!),
        ),
    ),
  );
  const change = eliminate(gram, missing);
  const values = kept.values.map((value, j) =>
    value.map((x, d) => x + P.reduce((sum, row, r) => sum + row[j]! * change[r]![d]!, 0)),
  );
  return { keys: kept.keys, values, mass };
}

function eliminate(matrix: readonly number[][], right: readonly number[][]): number[][] {
  const rows = matrix.map((row, i) => [...row, ...right[i]!]);
  for (let i = 0; i < rows.length; i++) {
    for (let j = 0; j < rows.length; j++) {
      if (i === j) continue;
      const factor = rows[j]![i]! / rows[i]![i]!;
      rows[j] = rows[j]!.map((x, c) => x - factor * rows[i]![c]!);
    }
  }
  return rows.map((row, i) => row.slice(rows.length).map((x) => x / row[i]!));
}

describe('matching kept entries to what questions got', () => {
  let session: InferenceSession;
  beforeAll(async () => {
    session = await openMatching(D, 1);
  });
  afterAll(() => session.release());

  const all: Entries = { keys: rowsOf(40), values: rowsOf(40), mass: new Array(40).fill(1) };
  const kept: Entries = {
    keys: all.keys.filter((_, i) => i % 4 === 0),
    values: all.values.filter((_, i) => i % 4 === 0),
    mass: new Array(10).fill(4),
  };
  const queries = rowsOf(6, 2);
  const shares = [1, 0.9, 0.5, 0.99, 0.2, 0.7];
  const asked = askedHead(all, queries, shares);
  const matchOne = (head: RowEntries, of: AskedHead) => matchHead(session, head, of);
  const entriesOf = ({ values, logMass }: RowEntries): Entries => ({
    keys: kept.keys,
    values: kept.keys.map((_, j) => [...values.subarray(j * D, (j + 1) * D)]),
    mass: [...logMass].map(Math.exp),
  });

  test('moves masses and values as the slow reference does', async () => {
    const matched = entriesOf(await matchOne(rows(kept), asked));
    const expected = naively(kept, asked);
    expectClose(matched.mass, expected.mass, 1e-3);
    expectClose(matched.values.flat(), expected.values.flat(), 5e-3);
  });

  test('brings what the questions get much nearer to what they got of all', async () => {
    const matched = entriesOf(await matchOne(rows(kept), asked));
    const error = (entries: Entries) =>
      queries.reduce((total, query) => {
        const [was, is] = [attend(all, query).output, attend(entries, query).output];
        return total + was.reduce((sum, x, d) => sum + (x - is[d]!) ** 2, 0);
      }, 0);
    expect(error(matched)).toBeLessThan(error(kept) / 10);
  });

  test('leaves entries alone that already give the same', async () => {
    const twice: Entries = { ...kept, mass: kept.mass.map(() => 1) };
    const matched = await matchOne(rows(kept), askedHead(kept, queries, shares));
    expectClose(matched.values, rows(twice).values, 1e-4);
    expectClose(matched.logMass, rows(kept).logMass, 1e-4);
  });

  test('stays finite for one row, one entry, and scores far apart', async () => {
    const far: Entries = { keys: rowsOf(10, 20), values: rowsOf(10), mass: new Array(10).fill(1) };
    const one = { keys: far.keys.slice(3, 4), values: far.values.slice(3, 4), mass: [10] };
    const matched = await matchOne(rows(one), askedHead(far, rowsOf(1, 20), [1e-6]));
    for (const x of [...matched.values, ...matched.logMass]) expect(Number.isFinite(x)).toBe(true);
  });

  test('leaves the mass of an entry that nobody looks at', async () => {
    const keys = kept.keys.map((key, i) => (i === 4 ? key.map((_, d) => -40 * queries[0]![d]!) : key));
    const entries = { ...kept, keys };
    const matched = await matchOne(rows(entries), askedHead(entries, queries.slice(0, 1), [0.9]));
    expect(matched.logMass[4]).toBeCloseTo(Math.log(4), 4);
  });

  test('takes fewer rows where many entries are kept', async () => {
    const many = (entries: number): Entries => ({
      keys: rowsOf(entries),
      values: rowsOf(entries),
      mass: new Array(entries).fill(1),
    });
    const { rows: few, entries: most } = ROWS_OF_MANY_ENTRIES;
    const whole = askedHead(many(most + 1), rowsOf(few + 60), new Array(few + 60).fill(0.8));
    const given = structuredClone(whole);
    for (const entries of [most, most + 1]) {
      const head = rows(many(entries));
      const ofSome = await matchOne(head, firstRows(whole, few));
      const matched = await matchOne(head, whole);
      expect(Buffer.from(matched.values.buffer).equals(Buffer.from(ofSome.values.buffer))).toBe(entries > most);
    }
    expect(whole).toEqual(given);
  });

  test('is the end of compressing a head, unless it keeps everything', async () => {
    const compress = async (of: AskedHead | undefined, kvType: KvType = 'f32') => {
      const heads = [40, 10].map((allocated) => {
        const head = new ReadingHead(40, D, ['questions']);
        head.append(Float32Array.from(all.keys.flat()), Float32Array.from(all.values.flat()), 0, D);
        head.addAttention(
          ['questions'],
          Float32Array.from({ length: 40 }, (_, i) => (i * 7) % 40),
        );
        return { head, allocated, asked: structuredClone(of) };
      });
      const policy = { name: 'calibrated-merge', options: { scoring: 'questions' } } as const;
      return compressHeads({ policy, headSize: D, kvType, heads }, { matching: async () => session });
    };
    const [merged, matched] = [await compress(undefined), await compress(asked)];
    expect(merged.map(({ entries }) => entries)).toEqual([40, 10]);
    expect(matched[0]).toEqual(merged[0]);
    const again = await matchOne(rowsOfHeld(merged[1] as HeldHead<Float32Array>), asked);
    expect(matched[1]).toEqual(holdHead(again, D));
    expect(matched[1]!.values).not.toEqual(merged[1]!.values);
    const halves = matched.map((head) => holdAs('f16', head as HeldHead<Float32Array>));
    expect(await compress(asked, 'f16')).toEqual(halves);
  });
});

describe('rows of questions', () => {
  type Shape = ConstructorParameters<typeof AskedRows>[0];
  const shape = { layers: 1, kvHeads: 2, queryHeads: 4, headSize: D } as Shape;
  const width = 2 * D + 2;
  /** Each row's values say whose it is; half of its attention is the prefix's. */
  const run = (tokens: number, first: number, group = 2) =>
    Float32Array.from({ length: group * tokens * width }, (_, i) => {
      const [head, token, column] = [Math.floor(i / width / tokens), Math.floor(i / width) % tokens, i % width];
      if (column < 2 * D) return 1000 * (first + token) + 100 * head + column;
      return column === width - 1 ? 5 + Math.log(0.5) : 0.5;
    });
  const each = (tokens: number, perQuestion: number) => new Float32Array(tokens).fill(1 / perQuestion);

  /** Rows of a head by token and query head, whatever their order: what their values say, and where they lie. */
  const inOrder = ({ queries }: AskedHead) =>
    Array.from({ length: queries.length / D }, (_, row) => ({ first: queries[row * D]!, row })).sort(
      (a, b) => a.first - b.first,
    );

  test('of every run are kept, without those that fill the last block', () => {
    const asked = new AskedRows(shape, 5, 1);
    asked.add([run(4, 0), run(4, 0)], each(3, 5));
    asked.add([run(2, 3), run(2, 3)], each(2, 5));
    const [head] = asked.heads as [AskedHead];
    expect(head.share.length).toBe(10);
    const rows = inOrder(head);
    expect(rows.map(({ first }) => first)).toEqual([0, 100, 1000, 1100, 2000, 2100, 3000, 3100, 4000, 4100]);
    for (const { first, row } of rows)
      expect([...head.output.subarray(row * D, row * D + 2)]).toEqual([first + 8, first + 9]);
    expectClose(head.share, new Array(10).fill(0.5), 1e-6);
    expectClose(head.logSum, new Array(10).fill(5 + Math.log(0.5)), 1e-6);
  });

  test('count so that every question does the same', () => {
    const asked = new AskedRows(shape, 10, 2);
    asked.add([run(10, 0), run(10, 0)], Float32Array.of(...each(8, 8), ...each(2, 2)));
    const head = asked.heads[0] as AskedHead;
    const { share, output, logSum } = head;
    const rows = inOrder(head).map(({ row }) => row);
    const squares = rows.map((row) => share[row]! ** 2);
    const sum = (rows: number[]) => rows.reduce((a, b) => a + b, 0);
    expect(sum(squares.slice(0, 16))).toBeCloseTo(sum(squares.slice(16)), 5);
    expect(output[rows[19]! * D]! / share[rows[19]!]!).toBeCloseTo(2 * (9000 + 100 + D), 1);
    expectClose(logSum, new Array(20).fill(5 + Math.log(0.5)), 1e-6);
  });

  test.each([2, 3, 4, 8])(
    'are as many of each of %i query heads and of all tokens, all of them and the first',
    (group) => {
      for (const tokens of [49, 129, 144, 192, 384, 385, 768, 1000]) {
        const asked = new AskedRows({ ...shape, queryHeads: 2 * group }, tokens, 1);
        asked.add([run(tokens, 0, group), run(tokens, 0, group)], each(tokens, tokens));
        const whole = asked.heads[1] as AskedHead;
        expect(whole.share.length).toBe(Math.min(384, group * tokens));
        for (const count of [whole.share.length, 192, 150].filter((count) => count <= whole.share.length)) {
          const some = firstRows(whole, count);
          const whose = inOrder(some).map(({ first }) => first);
          expect(new Set(whose).size).toBe(count);
          expect([some.logSum.length, some.share.length, some.output.length]).toEqual([count, count, count * D]);
          for (let head = 0; head < group; head++) {
            const ofHead = whose.filter((value) => Math.floor((value % 1000) / 100) === head);
            expect(Math.abs(ofHead.length - count / group)).toBeLessThanOrEqual(3);
            for (const part of [1, 2, 3].map((quarter) => (quarter * tokens) / 4)) {
              const before = ofHead.filter((value) => Math.floor(value / 1000) < part).length;
              expect(Math.abs(before - (count * part) / tokens / group)).toBeLessThanOrEqual(3);
            }
          }
        }
      }
    },
  );
});
