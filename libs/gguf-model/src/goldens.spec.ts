import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GgufModel } from './gguf-model.js';
import { TokenTextDecoder } from './token-text-decoder.js';

const MODEL = 'models/smollm2-135m-instruct.q4_1.gguf';
const SHA256_LINE = /\b[0-9a-f]{64}\b/;

interface TokenCase {
  readonly text: string;
  readonly ids: readonly number[];
}
interface GreedyCase {
  readonly name: string;
  readonly user: string | null;
  readonly prompt_tokens: number;
  readonly ids_head: readonly number[];
  readonly ids_tail: readonly number[];
  readonly greedy_ids: readonly number[];
  readonly greedy_text: string;
  readonly source?: { readonly file: string; readonly chars: number; readonly question: string };
}

const tokenCases = JSON.parse(readFileSync('test/fixtures/smollm2-tokens.json', 'utf8')) as TokenCase[];
const greedy = JSON.parse(readFileSync('test/fixtures/smollm2-greedy.json', 'utf8')) as {
  readonly cases: readonly GreedyCase[];
};

/** The user message of a golden case, rebuilt from its document as `source` says (characters are code points). */
function userMessage(golden: GreedyCase): string {
  if (golden.user !== null) return golden.user;
  const { file, chars, question } = golden.source!;
  const text = readFileSync(file.replace('eval/documents', 'examples/documents'), 'utf8');
  return `${[...text].slice(0, chars).join('')}\n\n${question}`;
}

let model: GgufModel;
beforeAll(async () => {
  model = await GgufModel.open(MODEL);
});
afterAll(() => model.close());

test('hyperparameters of the default model', () => {
  expect(model.hyperparameters).toEqual({
    layers: 30,
    hidden: 576,
    queryHeads: 9,
    kvHeads: 3,
    headSize: 64,
    feedForward: 1536,
    vocabulary: 49152,
    contextLength: 8192,
    ropeBase: 100000,
    ropeDimensions: 64,
    ropeScale: 1,
    ropeFrequencyFactors: undefined,
    rmsEpsilon: Math.fround(1e-5),
  });
  expect(model.name).toBe('Smollm2 135M 8k Lc100K Mix1 Ep2');
});

test('the content hash is the one in the README beside the model', async () => {
  expect(await model.contentHash()).toBe(SHA256_LINE.exec(readFileSync('models/README.md', 'utf8'))![0]);
});

test('tensors: shapes row-major, values as stored', async () => {
  expect(model.has('output.weight')).toBe(false);
  expect(model.tensorShape('token_embd.weight')).toEqual([49152, 576]);
  expect(model.tensorShape('blk.0.attn_k.weight')).toEqual([192, 576]);
  const key = await model.readTensor('blk.29.attn_k.weight');
  expect(key.length).toBe(192 * 576);
  const deviation = Math.sqrt(key.reduce((sum, value) => sum + value * value, 0) / key.length);
  expect(deviation).toBeGreaterThan(0.01);
  expect(deviation).toBeLessThan(1);
  // float32 values lie in the file as they are: 1,785,664 bytes of header, then 30,081,024 of other tensors
  const raw = readFileSync(MODEL)
    .subarray(1_785_664 + 30_081_024)
    .subarray(0, 576 * 4);
  const norm = await model.readTensor('blk.0.attn_norm.weight');
  expect(Buffer.from(norm.buffer).equals(raw)).toBe(true);
});

describe('token ids', () => {
  test.each(tokenCases.map((golden) => [golden.text, golden.ids] as const))('%j', (text, ids) => {
    expect(model.tokenizer.encodeWithControlTokens(text)).toEqual(ids);
  });
});

describe('prompts', () => {
  test.each(greedy.cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
    const ids = model.chatTemplate.encodeChat([{ role: 'user', content: userMessage(golden) }], {
      addGenerationPrompt: true,
    });
    expect(ids.length).toBe(golden.prompt_tokens);
    expect(ids.slice(0, golden.ids_head.length)).toEqual(golden.ids_head);
    expect(ids.slice(-golden.ids_tail.length)).toEqual(golden.ids_tail);
  });
});

describe('decoding', () => {
  test.each(greedy.cases.map((golden) => [golden.name, golden] as const))('%s', (_, golden) => {
    expect(model.tokenizer.decode(golden.greedy_ids)).toBe(golden.greedy_text);
    const decoder = new TokenTextDecoder(model.tokenizer);
    const pieces = golden.greedy_ids.map((id) => decoder.push(id));
    expect(pieces.join('') + decoder.end()).toBe(golden.greedy_text);
  });

  test('control tokens are rendered as nothing, a byte order mark is kept', () => {
    expect(model.tokenizer.decode([1, ...model.tokenizer.encode('\ufeffa b'), 2])).toBe('\ufeffa b');
  });

  test('the streaming decoder never hands out half a character', () => {
    const text = '👩‍👩‍👧‍👦 naïve 日本語';
    const decoder = new TokenTextDecoder(model.tokenizer);
    let out = '';
    for (const id of model.tokenizer.encode(text)) {
      out += decoder.push(id);
      expect(text.startsWith(out)).toBe(true);
    }
    expect(out + decoder.end()).toBe(text);
  });
});

test('turns end with <|im_end|> or <|endoftext|>', () => {
  expect(model.tokenizer.endOfTurnTokens).toEqual([0, 2]);
});
