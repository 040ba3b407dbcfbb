import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join as joinPath } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { KV_TYPES } from '@app/onnx-graph';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { DecodeRuns } from './decode-runs.js';
import { type HeldPrefix, holdAs, holdHead, holdPrefix } from './held-prefix.js';
import { ModelFiles } from './model-files.js';
import { seededRandom } from './random.js';
import type { RunLayout } from './run-layout.js';
import { argmax } from './sampler.js';
import { Sessions } from './sessions.js';
import { Tails } from './tails.js';
import { expectClose } from './testing/expect-close.js';
import { type NaiveEntries, NaiveLlama } from './testing/naive-llama.js';

const TOLERANCE = 1e-4;

/** Items of several documents against a decoder that answers each by itself, one token at a time. */
describe.each(KV_TYPES)('decode runs against the naive decoder, prefixes held as %s', (kvType) => {
  const folder = mkdtempSync(joinPath(tmpdir(), 'longhaul-decode-'));
  const random = seededRandom(11);
  let gguf: GgufModel;
  let sessions: Sessions;
  let runs: DecodeRuns;
  let naive: NaiveLlama;

  /** A compressed prefix with other lengths and masses at every KV head, as both decoders hold it. */
  interface Document {
    readonly tokens: number;
    readonly entries: readonly NaiveEntries[];
    readonly held: HeldPrefix;
  }

  function document(tokens: number, most: number): Document {
    const { headSize } = runs.shape;
    // Numbers that float16 has, too.
    const vector = () => Array.from({ length: headSize }, () => Math.round((random() * 2 - 1) * 1024) / 1024);
    const entries = naive.emptyCache().map((): NaiveEntries => {
      const kept = Array.from({ length: Math.floor(random() * most) });
      return {
        keys: kept.map(vector),
        values: kept.map(vector),
        logMass: kept.map(() => Math.round(Math.log(1 + Math.floor(random() * 9)) * 256) / 256),
        attention: kept.map(() => 0),
      };
    });
    const heads = entries.map(({ keys, values, logMass }) => {
      const rows = (vectors: number[][]) => Float32Array.from(vectors.flat());
      const held = { keys: rows(keys), values: rows(values), logMass: Float32Array.from(logMass) };
      return holdAs(kvType, holdHead(held, headSize));
    });
    return { tokens, entries, held: holdPrefix(runs.shape, tokens, heads) };
  }

  /** An item that both decoders go on with, token by token. */
  class Item {
    private readonly cache: NaiveEntries[];
    private position: number;

    constructor(readonly document: Document) {
      this.cache = structuredClone([...document.entries]);
      this.position = document.tokens;
    }

    expected(tokens: readonly number[]): number[] {
      return tokens.map((token) => naive.step(token, this.position++, this.cache)).at(-1)!;
    }
  }

  beforeAll(async () => {
    const path = joinPath(folder, 'tiny.gguf');
    writeTinyGguf(path, { queryHeads: 6, kvHeads: 2, seed: 3 });
    gguf = await GgufModel.open(path);
    const files = await ModelFiles.prepare(gguf, folder, 'f32');
    sessions = new Sessions(files, 1, kvType);
    runs = new DecodeRuns(sessions, files.description.shape);
    naive = await NaiveLlama.load(gguf);
  });
  afterAll(async () => {
    await sessions.close();
    await gguf.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const token = (): number => Math.floor(random() * runs.shape.vocabulary);
  const suffix = (): number[] => Array.from({ length: 1 + Math.floor(random() * 80) }, token);

  /** Reads the items' suffixes side by side, behind their document. */
  async function join(items: readonly Item[], tails: Tails): Promise<void> {
    const suffixes = items.map(suffix);
    const ends = suffixes.map((_, i) => suffixes.slice(0, i + 1).flat().length);
    const { predictions, entries } = await runs.read({
      prefix: items[0]!.document.held,
      sequences: suffixes,
      logitRows: ends.map((end) => end - 1),
    });
    for (const [i, item] of items.entries()) {
      tails.add();
      tails.append(tails.items - 1, entries, ends[i]! - suffixes[i]!.length, suffixes[i]!.length);
      expectClose(predictions[i]!.logits!, item.expected(suffixes[i]!), TOLERANCE);
    }
  }

  const layOut = (items: readonly Item[]): RunLayout => runs.layOut(items.map(({ document: { held } }) => held));

  async function step(items: readonly Item[], tails: Tails, layout = layOut(items)): Promise<void> {
    const tokens = items.map(token);
    const temperatures = items.map((_, i) => [0, 0.7, 1.5][i % 3]!);
    // Of one item, since all are handed out where one needs them.
    const needs = temperatures.map((temperature, i) => ({ temperature, logits: i === items.length - 1 }));
    const predictions = await runs.step(layout, tokens, needs, tails);
    for (const [i, item] of items.entries()) {
      const expected = item.expected([tokens[i]!]);
      expectClose(predictions[i]!.logits!, expected, TOLERANCE);
      expect(predictions[i]!.likeliest).toBe(argmax(predictions[i]!.logits!));
      if (temperatures[i] === 0) expect(predictions[i]!.probabilities).toBeUndefined();
      else expectClose(predictions[i]!.probabilities!, softmax(expected, temperatures[i]!), TOLERANCE);
    }
  }

  test('items of one document are rows of one product, and come and go at any step', async () => {
    const shared = document(100, 60);
    const items = Array.from({ length: 5 }, () => new Item(shared));
    const tails = new Tails(runs.shape);
    const running = items.slice(0, 3);
    await join(running, tails);
    await step(running, tails);
    running.push(items[3]!);
    await join([items[3]!], tails);
    await step(running, tails);
    tails.remove(1);
    running[1] = running.pop()!;
    await step(running, tails);
    running.push(items[4]!);
    await join([items[4]!], tails);
    const layout = layOut(running);
    for (let i = 0; i < 70; i++) await step(running, tails, layout);
  });

  test('a greedy item is given its likeliest token and no logits', async () => {
    const item = new Item(document(50, 20));
    const tails = new Tails(runs.shape);
    await join([item], tails);
    const layout = layOut([item]);
    for (let i = 0; i < 3; i++) {
      const next = token();
      const [prediction] = await runs.step(layout, [next], [{ temperature: 0, logits: false }], tails);
      const expected = item.expected([next]);
      expect(prediction).toEqual({
        likeliest: expected.indexOf(Math.max(...expected)),
        logits: undefined,
        probabilities: undefined,
      });
    }
  });

  test('an item is given the same numbers, bit for bit, whoever is beside it', async () => {
    const shared = document(60, 40);
    const [words, first] = [suffix(), suffix()];
    const logits = async (items: number, sequence: readonly number[]): Promise<Float32Array[]> => {
      const tails = new Tails(runs.shape);
      const read = { prefix: shared.held, sequences: [sequence], logitRows: [sequence.length - 1] };
      for (let item = 0; item < items; item++) {
        const { entries } = await runs.read(read);
        tails.add();
        tails.append(item, entries, 0, sequence.length);
      }
      const layout = runs.layOut(new Array<HeldPrefix>(items).fill(shared.held));
      const found: Float32Array[] = [];
      for (const next of words) {
        const tokens = [next, ...words.slice(1, items)];
        const needs = tokens.map(() => ({ temperature: 0, logits: true }));
        const [prediction] = await runs.step(layout, tokens, needs, tails);
        found.push(Float32Array.from(prediction!.logits!));
      }
      return found;
    };
    words.push(...suffix(), ...suffix());
    const alone = await logits(1, first);
    for (const items of [2, 3, 5]) expect(await logits(items, first)).toEqual(alone);
  });

  test('items of several documents in one run, in any order', async () => {
    const documents = [document(40, 30), document(90, 5), document(7, 80)];
    const items = [0, 1, 0, 2, 1].map((index) => new Item(documents[index]!));
    const tails = new Tails(runs.shape);
    for (const item of items) await join([item], tails);
    for (let i = 0; i < 3; i++) await step(items, tails);
    tails.remove(0);
    items[0] = items.pop()!;
    for (let i = 0; i < 2; i++) await step(items, tails);
    expect(layOut(items).phase).toBe('decode-documents');
  });
});

function softmax(logits: readonly number[], temperature: number): number[] {
  const weights = logits.map((logit) => Math.exp(logit / temperature));
  const sum = weights.reduce((total, weight) => total + weight, 0);
  return weights.map((weight) => weight / sum);
}
