import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import type { AttentionKind } from '@app/kv-policy';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TinyOverrides, writeTinyGguf } from '../../../test/tiny-gguf.js';
import { DecodeRuns } from './decode-runs.js';
import { Decoder } from './decoder.js';
import { type HeldHead, holdHead, holdPrefix } from './held-prefix.js';
import { ModelFiles } from './model-files.js';
import { readPrefix, scoreQuestions } from './prefix-reader.js';
import { seededRandom } from './random.js';
import type { ReadingCache } from './reading-cache.js';
import { Sessions } from './sessions.js';
import { expectClose } from './testing/expect-close.js';
import { type NaiveEntries, NaiveLlama } from './testing/naive-llama.js';

/** Everything a graph computes, against a decoder written for reading. Prompts cross chunk borders (256). */
const MODELS: readonly { name: string; overrides: TinyOverrides }[] = [
  { name: 'tied output', overrides: {} },
  {
    name: 'untied output, three query heads a group',
    overrides: { untiedOutput: true, queryHeads: 6, kvHeads: 2, seed: 2 },
  },
  { name: 'frequency factors', overrides: { ropeFrequencyFactors: [1, 1, 2, 2, 4, 4, 8, 8], seed: 3 } },
  { name: 'half of each head rotated', overrides: { metadata: { 'llama.rope.dimension_count': 8 }, seed: 4 } },
  {
    name: 'linear position scaling',
    overrides: {
      metadata: { 'llama.rope.scaling.type': 'linear', 'llama.rope.scaling.factor': { float: 4 } },
      seed: 5,
    },
  },
  { name: 'one KV head', overrides: { queryHeads: 4, kvHeads: 1, seed: 6 } },
];

const folder = mkdtempSync(join(tmpdir(), 'longhaul-graphs-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const nowhere = async () => {};

describe.each(MODELS)('graphs against the naive decoder: $name', ({ name, overrides }) => {
  let gguf: GgufModel;
  let files: ModelFiles;
  let sessions: Sessions;
  let naive: NaiveLlama;
  const random = seededRandom(7);
  let tokens: number[];
  /** The naive decoder over all of `tokens`: its cache, logits after every token, and attention sums before it. */
  let whole: { cache: NaiveEntries[]; logits: number[][]; attention: number[][][] };

  beforeAll(async () => {
    const path = join(folder, `${name.replaceAll(' ', '-')}.gguf`);
    writeTinyGguf(path, overrides);
    gguf = await GgufModel.open(path);
    files = await ModelFiles.prepare(gguf, folder, 'f32');
    sessions = new Sessions(files, 1);
    naive = await NaiveLlama.load(gguf);
    tokens = Array.from({ length: 270 }, () => Math.floor(random() * gguf.hyperparameters.vocabulary));
    const cache = naive.emptyCache();
    const attention: number[][][] = [];
    const logits = tokens.map((token, position) => {
      attention.push(cache.map((entries) => [...entries.attention]));
      return naive.step(token, position, cache);
    });
    whole = { cache, logits, attention };
  });
  afterAll(async () => {
    await sessions.close();
    await gguf.close();
  });

  const read = async (
    attention: readonly AttentionKind[],
    count: number,
    onLogits?: (logits: Float32Array) => void,
  ): Promise<ReadingCache> =>
    readPrefix(await sessions.get('prefill'), {
      shape: files.description.shape,
      tokens: tokens.slice(0, count),
      attention,
      checkpoint: nowhere,
      ...(onLogits === undefined ? {} : { onLogits }),
    });

  test('prefill gives the logits after every token', async () => {
    const logits: number[] = [];
    await read(['all', 'window'], tokens.length, (chunk) => {
      for (const value of chunk) logits.push(value);
    });
    expectClose(logits, whole.logits.flat(), 1e-4);
  });

  test('prefill keeps keys and values of every token', async () => {
    const cache = await read([], tokens.length);
    for (const [head, entries] of whole.cache.entries()) {
      expectClose(cache.heads[head]!.keys, entries.keys.flat(), 1e-5);
      expectClose(cache.heads[head]!.values, entries.values.flat(), 1e-5);
    }
  });

  test('statistics are the attention each entry received, of all queries, the last 32 and the last', async () => {
    const { heads } = await read(['window', 'all', 'last'], tokens.length);
    for (const [head, entries] of whole.cache.entries()) {
      const since = (before: number) =>
        entries.attention.map((sum, i) => sum - (whole.attention[before]![head]![i] ?? 0));
      const { attention } = heads[head]!;
      expectClose(attention.all!, entries.attention, 1e-4);
      expectClose(attention.window!, since(tokens.length - 32), 1e-4);
      expectClose(attention.last!, since(tokens.length - 1), 1e-4);
    }
  });

  test('questions score by themselves, each as much as any other, and leave the cache as it was', async () => {
    const cache = await read(['questions'], 200);
    const questions = [tokens.slice(200, 205), tokens.slice(205, 207), tokens.slice(0, 256), tokens.slice(207, 210)];
    const keys = () => cache.heads.map((head) => head.keys.slice());
    const before = keys();
    await scoreQuestions(await sessions.get('prefill'), cache, questions, nowhere);
    expect(keys()).toEqual(before);
    const expected = cache.heads.map(() => new Array<number>(200).fill(0));
    for (const question of questions) {
      const asked = whole.cache.map((entries) => firstEntries(entries, 200));
      for (const [i, token] of question.entries()) naive.step(token, 200 + i, asked);
      for (const [head, { attention }] of asked.entries()) {
        for (let i = 0; i < 200; i++) expected[head]![i]! += attention[i]! / question.length;
      }
    }
    for (const [head, sums] of expected.entries()) expectClose(cache.heads[head]!.attention.questions!, sums, 1e-4);
  });

  test('of questions is recorded what each row asked of the prefix and got', async () => {
    const cache = await read(['questions'], 200);
    const questions = [tokens.slice(200, 270), tokens.slice(0, 120)];
    const asked = await scoreQuestions(await sessions.get('prefill'), cache, questions, nowhere, true);
    const { headSize, queryHeads, kvHeads } = files.description.shape;
    expect(asked!.heads[0]!.share.length).toBe(Math.min(384, (190 * queryHeads) / kvHeads));
    for (const [index, { queries, logSum, share, output }] of asked!.heads.entries()) {
      const { keys, values } = cache.heads[index]!;
      for (let row = 0; row < share.length; row++) {
        const scores = Array.from({ length: 200 }, (_, i) => {
          let score = 0;
          for (let d = 0; d < headSize; d++) score += queries[row * headSize + d]! * keys[i * headSize + d]!;
          return score / Math.sqrt(headSize);
        });
        const sum = scores.reduce((total, score) => total + Math.exp(score), 0);
        expect(logSum[row]).toBeCloseTo(Math.log(sum), 3);
        const got = Array.from({ length: headSize }, (_, d) =>
          scores.reduce((total, score, i) => total + (Math.exp(score) / sum) * values[i * headSize + d]!, 0),
        );
        expectClose(
          output.subarray(row * headSize, (row + 1) * headSize),
          got.map((x) => share[row]! * x),
          1e-4,
        );
      }
    }
    // The first token of a question sees the prefix and itself, the last its whole question as well.
    expect(asked!.heads[0]!.share[0]).toBeGreaterThan(asked!.heads[0]!.share.at(-1)!);
  });

  test('decode on a full prefix goes on as if there had been no border', async () => {
    const { heads: read200 } = await read([], 200);
    const heads = read200.map((head) => holdHead(head.whole(), gguf.hyperparameters.headSize));
    const prefix = holdPrefix(files.description.shape, 200, heads);
    const decoder = new Decoder(new DecodeRuns(sessions, files.description.shape), prefix);
    expectClose(await decoder.append(tokens.slice(200, 260)), whole.logits[259]!, 1e-4);
    for (let i = 260; i < tokens.length; i++) {
      expectClose(await decoder.append([tokens[i]!]), whole.logits[i]!, 1e-4);
    }
  });

  test('decode on a ragged prefix: every head its own entries, masses and length', async () => {
    const { headSize } = gguf.hyperparameters;
    const ragged = whole.cache.map((_, head) =>
      raggedHead(head === 0 ? 1 : 1 + Math.floor(random() * 60), headSize, random),
    );
    const position = 100;
    const prefix = holdPrefix(files.description.shape, position, ragged.map(toHeld));
    const decoder = new Decoder(new DecodeRuns(sessions, files.description.shape), prefix);
    const suffix = tokens.slice(0, 5);
    let expected: number[] = [];
    for (const [i, token] of suffix.entries()) expected = naive.step(token, position + i, ragged);
    expectClose(await decoder.append(suffix), expected, 1e-4);
    expectClose(await decoder.append([9]), naive.step(9, position + suffix.length, ragged), 1e-4);
  });
});

test.each([
  ['as this processor multiplies them', undefined],
  ['unsigned', true],
])(
  'with 8-bit weights, %s, prefill does what the naive decoder does with rows of 127 steps either way and exact inputs',
  async (_, unsignedWeights) => {
    const path = join(folder, 'rows.gguf');
    writeTinyGguf(path, { queryHeads: 6, kvHeads: 2, seed: 8 });
    const gguf = await GgufModel.open(path);
    const { hidden, feedForward, queryHeads, headSize, vocabulary } = gguf.hyperparameters;
    const columnsOf = (name: string) =>
      name.endsWith('attn_output') ? queryHeads * headSize : name.endsWith('ffn_down') ? feedForward : hidden;
    const naive = await NaiveLlama.load(gguf, (name, values) =>
      /attn_[qkvo]|ffn_[gud]/.test(name) ? roundRows(values, columnsOf(name)) : values,
    );
    const files = await ModelFiles.prepare(gguf, folder, 'q8');
    const sessions = new Sessions(files, 1, 'f32', unsignedWeights);
    const random = seededRandom(9);
    const tokens = Array.from({ length: 150 }, () => Math.floor(random() * vocabulary));
    const { shape } = files.description;
    const session = await sessions.get('prefill');
    const { heads } = await readPrefix(session, { shape, tokens, attention: ['all'], checkpoint: nowhere });
    await sessions.close();
    await gguf.close();
    const cache = naive.emptyCache();
    for (const [position, token] of tokens.entries()) naive.step(token, position, cache);
    for (const [head, { keys, values, attention }] of cache.entries()) {
      expectClose(heads[head]!.keys, keys.flat(), 2e-3);
      expectClose(heads[head]!.values, values.flat(), 2e-3);
      expectClose(heads[head]!.attention.all!, attention, 2e-2);
    }
  },
);

/** Each row rounded to whole multiples of a 127th of its largest magnitude. */
function roundRows(values: Float32Array, columns: number): Float32Array {
  const rounded = new Float32Array(values.length);
  for (let from = 0; from < values.length; from += columns) {
    const row = values.subarray(from, from + columns);
    const scale = Math.max(...row.map(Math.abs)) / 127;
    rounded.set(
      row.map((value) => Math.round(value / scale) * scale),
      from,
    );
  }
  return rounded;
}

function firstEntries({ keys, values, logMass }: NaiveEntries, count: number): NaiveEntries {
  return {
    keys: keys.slice(0, count),
    values: values.slice(0, count),
    logMass: logMass.slice(0, count),
    attention: new Array<number>(count).fill(0),
  };
}

function raggedHead(entries: number, headSize: number, random: () => number): NaiveEntries {
  const vectors = () => Array.from({ length: entries }, () => Array.from({ length: headSize }, () => random() * 2 - 1));
  const logMass = Array.from({ length: entries }, () => Math.log(1 + Math.floor(random() * 9)));
  return { keys: vectors(), values: vectors(), logMass, attention: logMass.map(() => 0) };
}

function toHeld({ keys, values, logMass }: NaiveEntries): HeldHead {
  const rows = (vectors: number[][]) => Float32Array.from(vectors.flat());
  return holdHead({ keys: rows(keys), values: rows(values), logMass: Float32Array.from(logMass) }, keys[0]!.length);
}
