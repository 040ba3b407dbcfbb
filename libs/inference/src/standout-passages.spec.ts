import { expect, test } from 'vitest';
import { ReadingHead } from './reading-head.js';
import { ropeTable } from './rope-table.js';
import { MOST_PASSAGES, PASSAGE_TOKENS, standoutPassages, strangeness } from './standout-passages.js';

const ROPE = { contextLength: 8192, ropeDimensions: 4, ropeBase: 10000, ropeScale: 1, ropeFrequencyFactors: undefined };
const HEAD_SIZE = 6;

/** Keys by their plain directions, turned to their positions pair by pair. */
function headOf(plain: readonly (readonly number[])[]): ReadingHead {
  const head = new ReadingHead(plain.length, HEAD_SIZE, []);
  const { cosine, sine } = ropeTable({ ...ROPE, contextLength: plain.length });
  for (const [position, key] of plain.entries()) {
    const rotated = [...key];
    for (let pair = 0; pair < 2; pair++) {
      const [c, s] = [cosine[position * 2 + pair]!, sine[position * 2 + pair]!];
      rotated[2 * pair] = key[2 * pair]! * c - key[2 * pair + 1]! * s;
      rotated[2 * pair + 1] = key[2 * pair]! * s + key[2 * pair + 1]! * c;
    }
    head.append(Float32Array.from(rotated), new Float32Array(HEAD_SIZE), 0, HEAD_SIZE);
  }
  return head;
}

/** The definition, vector by vector. */
function slowly(heads: readonly (readonly (readonly number[])[])[]): number[] {
  const tokens = heads[0]!.length;
  const total = new Array<number>(tokens).fill(0);
  const unit = (v: readonly number[]) => v.map((x) => x / Math.hypot(...v));
  for (const plain of heads) {
    const units = plain.map(unit);
    const mean = unit(units[0]!.map((_, d) => units.reduce((sum, u) => sum + u[d]!, 0)));
    const distance = units.map((u) => 1 - u.reduce((sum, x, d) => sum + x * mean[d]!, 0));
    const sum = distance.reduce((a, b) => a + b, 0);
    for (const [i, x] of distance.entries()) total[i]! += x / sum;
  }
  return total;
}

let state = 7;
const random = (): number => {
  state = (state * 48271) % 2147483647;
  return state / 2147483647 - 0.5;
};
const randomKeys = (tokens: number): number[][] =>
  Array.from({ length: tokens }, () => Array.from({ length: HEAD_SIZE }, (_, d) => random() + (d === 0 ? 1 : 0)));

const nowhere = async () => {};

test('strangeness is what the definition gives, whatever the positions', async () => {
  const heads = [randomKeys(40), randomKeys(40)];
  const found = await strangeness(40, heads.map(headOf), HEAD_SIZE, ROPE, nowhere);
  for (const [i, expected] of slowly(heads).entries()) expect(found[i]).toBeCloseTo(expected, 5);
});

test('a document too short for a passage has none', async () => {
  const tokens = Array.from({ length: 100 }, (_, i) => i);
  expect(await standoutPassages(tokens, [headOf(randomKeys(100))], HEAD_SIZE, ROPE, nowhere)).toEqual([]);
});

test('passages are whole, apart from each other, and hold what points elsewhere', async () => {
  const keys = randomKeys(6000);
  const odd = [700, 1500, 2300, 3100, 4700, 5900];
  for (const at of odd) for (let i = at; i < at + 12; i++) keys[i]![0] = -2;
  const tokens = Array.from({ length: 6000 }, (_, i) => i);
  const passages = await standoutPassages(tokens, [headOf(keys)], HEAD_SIZE, ROPE, nowhere);
  expect(passages).toHaveLength(MOST_PASSAGES);
  for (const passage of passages) expect(passage).toHaveLength(PASSAGE_TOKENS);
  for (const at of odd)
    expect(passages.some((passage) => passage.includes(at) && passage.includes(at + 11))).toBe(true);
  expect(new Set(passages.flat()).size).toBe(MOST_PASSAGES * PASSAGE_TOKENS);
});
