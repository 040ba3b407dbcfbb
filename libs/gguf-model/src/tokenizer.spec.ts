import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TinyOverrides, writeTinyGguf } from '../../../test/tiny-gguf.js';
import { GgufModel } from './gguf-model.js';
import { PRE_TOKENIZER_NAMES } from './pre-tokenizers.js';
import { TokenTextDecoder } from './token-text-decoder.js';
import { MAX_WORD_BYTES, type Tokenizer } from './tokenizer.js';

let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'tokenizer-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function tinyTokenizer(overrides: TinyOverrides = {}): Promise<Tokenizer> {
  const path = join(folder, `${files++}.gguf`);
  writeTinyGguf(path, overrides);
  const model = await GgufModel.open(path);
  await model.close();
  return model.tokenizer;
}

/** Every kind of thing that a pattern treats specially. */
const MIXED =
  "Don't stop: 12345 naïve ÀÉ١٢٣ ½² 日本語 한국어 🙂👩‍👧 x=y+1;\r\n\r\n\ttab  two   three\u00a0nbsp\u200b\ufeff end \n ' '' \ud83d";

describe('pre-tokenizers', () => {
  test.each(PRE_TOKENIZER_NAMES)('%s keeps every byte of a text', async (name) => {
    const tokenizer = await tinyTokenizer({ metadata: { 'tokenizer.ggml.pre': name } });
    // a lone surrogate has no UTF-8: it becomes U+FFFD
    expect(tokenizer.decode(tokenizer.encode(MIXED))).toBe(Buffer.from(MIXED).toString());
  });

  // the tiny vocabulary merges '12', ' the', 'aaaa' and '    ': a cut inside one of them shows in the number of tokens
  test.each([
    ['gpt-2', '12', 1],
    ['smollm', '12', 2],
    ['llama-bpe', '12', 1],
    ['llama-bpe', '1231', 3],
    ['qwen2', '12', 2],
    ['deepseek-v3', '12312', 3],
    ['smollm', ' the', 1],
    ['smollm', '  the', 2],
    ['deepseek-coder', ' the', 1],
    ['poro-chat', 'aaaa.aaaa', 3],
    ['gpt-4o', 'aaaaAaaaa', 3],
    ['gpt-2', '    \n', 2],
    ['gpt-2', '    x', 4],
  ])('%s cuts %j into words of %d tokens', async (name, text, tokens) => {
    const tokenizer = await tinyTokenizer({ metadata: { 'tokenizer.ggml.pre': name } });
    expect(tokenizer.encode(text).length).toBe(tokens);
  });
});

describe('plain text and special tokens', () => {
  test('a control token in plain text is text', async () => {
    const tokenizer = await tinyTokenizer();
    const ids = tokenizer.encode('a<|im_end|>');
    expect(ids.length).toBe(11);
    expect(ids.some((id) => tokenizer.isControlToken(id))).toBe(false);
    expect(tokenizer.decode(ids)).toBe('a<|im_end|>');
    expect(tokenizer.encodeWithControlTokens('a<|im_end|>').at(-1)).toBe(2);
  });

  test('a control token that is an ordinary word cannot be merged or looked up either', async () => {
    // llama-bpe takes a word that is a whole token as it is; "stop" is such a word
    const tokenizer = await tinyTokenizer({
      userDefinedTokens: ['stop'],
      metadata: { 'tokenizer.ggml.pre': 'llama-bpe', 'tokenizer.ggml.eot_token_id': 270 },
    });
    expect(tokenizer.endOfTurnTokens).toEqual([0, 2, 270]);
    expect(tokenizer.encode('stop')).not.toContain(270);
    expect(tokenizer.encodeWithControlTokens('stop')).toEqual([270]);
  });

  test('user-defined tokens are recognised everywhere, the longest first, and are shown', async () => {
    const tokenizer = await tinyTokenizer({ userDefinedTokens: ['<think>', '<think>>', '\u00e9clair'] });
    expect(tokenizer.encode('<think>>é<think>éclair')).toEqual([271, ...tokenizer.encode('é'), 270, 272]);
    expect(tokenizer.decode([271, 272])).toBe('<think>>éclair');
  });

  test('whatever ends a turn is a control token, even if the file calls it ordinary', async () => {
    const tokenizer = await tinyTokenizer({ userDefinedTokens: ['<|eot_id|>'] });
    expect(tokenizer.endOfTurnTokens).toEqual([0, 2, 270]);
    expect(tokenizer.encode('<|eot_id|>')).not.toContain(270);
    expect(tokenizer.tokenBytes(270)).toEqual(new Uint8Array(0));
  });

  test('bytes of single tokens; ids outside the vocabulary', async () => {
    const tokenizer = await tinyTokenizer();
    for (let byte = 0; byte < 256; byte++) expect([...tokenizer.tokenBytes(3 + byte)]).toEqual([byte]);
    expect(() => tokenizer.tokenBytes(270)).toThrow(RangeError);
    expect(() => tokenizer.decode([-1])).toThrow(/token -1 is outside the vocabulary of 270/);
  });
});

describe('long words', () => {
  test('a word up to the limit is merged as one, a longer one is cut at the limit', async () => {
    const tokenizer = await tinyTokenizer();
    const four = tokenizer.encode('aaaa');
    expect(four.length).toBe(1);
    expect(tokenizer.encode('a'.repeat(MAX_WORD_BYTES))).toEqual(Array(MAX_WORD_BYTES / 4).fill(four[0]));
    const text = `${'é'.repeat(MAX_WORD_BYTES)}${'🙂'.repeat(MAX_WORD_BYTES / 2)}`;
    expect(tokenizer.decode(tokenizer.encode(text))).toBe(text);
  });

  test('time grows with the length, not with its square', async () => {
    const tokenizer = await tinyTokenizer();
    /** Milliseconds of this process alone, however many others want the cores. */
    const timed = (text: string) => {
      const start = process.cpuUsage();
      tokenizer.encode(text);
      const { user, system } = process.cpuUsage(start);
      return (user + system) / 1000;
    };
    timed('a'.repeat(50_000));
    for (const unit of ['a', ' ', '7']) {
      const short = Math.min(...[1, 2, 3].map(() => timed(unit.repeat(4_000))));
      // 16 times the length: 16 to 22 times the time if n log n, 256 times if quadratic
      expect(timed(unit.repeat(64_000)), JSON.stringify(unit)).toBeLessThan(100 * Math.max(short, 1));
    }
  });
});

test('the streaming decoder gives U+FFFD for bytes that never become a character', async () => {
  const tokenizer = await tinyTokenizer();
  const decoder = new TokenTextDecoder(tokenizer);
  const [lead, second] = tokenizer.encode('é');
  expect(decoder.push(lead!)).toBe('');
  expect(decoder.push(second!)).toBe('é');
  expect(decoder.push(lead!)).toBe('');
  expect(decoder.push(tokenizer.encode('x')[0]!)).toBe('\ufffdx');
  expect(decoder.push(lead!)).toBe('');
  expect(decoder.end()).toBe('\ufffd');
});
