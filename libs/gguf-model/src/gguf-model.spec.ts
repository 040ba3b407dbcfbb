import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type TinyOverrides, type TinyTensor, tinyGguf } from '../../../test/tiny-gguf.js';
import * as errors from './errors.js';
import { GgufModel } from './gguf-model.js';
import { MAX_ARRAY_LENGTH, MAX_METADATA_KEYS, MAX_STRING_BYTES, MAX_TENSORS } from './header-scan.js';

let folder: string;
let files = 0;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'gguf-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

function fileOf(bytes: Uint8Array): string {
  const path = join(folder, `${files++}.gguf`);
  writeFileSync(path, bytes);
  return path;
}

/** Opens the tiny model with `overrides` and closes it again. */
async function openTiny(overrides: TinyOverrides): Promise<GgufModel> {
  const model = await GgufModel.open(fileOf(tinyGguf(overrides)));
  await model.close();
  return model;
}

/** The error of opening `path`: a GgufError of exactly the class, whose message has the path and `part`. */
async function expectRefusal(path: string, kind: typeof errors.GgufError, part: string | RegExp): Promise<void> {
  const error = await GgufModel.open(path).then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(errors.GgufError);
  expect((error as Error).name).toBe(kind.name);
  expect((error as Error).message).toContain(path);
  expect((error as Error).message).toMatch(/: expected .+, found .+\. \S.+\.$/s);
  expect((error as Error).message).toMatch(part);
}

describe('a complete model', () => {
  test('hyperparameters, untied output and frequency factors', async () => {
    const factors = [1, 1, 1, 2, 2, 4, 8, 8];
    const model = await openTiny({ untiedOutput: true, ropeFrequencyFactors: factors });
    expect(model.hyperparameters).toEqual({
      layers: 2,
      hidden: 64,
      queryHeads: 4,
      kvHeads: 2,
      headSize: 16,
      feedForward: 128,
      vocabulary: 270,
      contextLength: 512,
      ropeBase: 10_000,
      ropeDimensions: 16,
      ropeScale: 1,
      ropeFrequencyFactors: Float32Array.from(factors),
      rmsEpsilon: Math.fround(1e-5),
    });
    expect(model.has('output.weight')).toBe(true);
    expect(model.tensorShape('blk.1.attn_k.weight')).toEqual([32, 64]);
  });

  test('tensor values, in float32 and in a quantised type', async () => {
    let written: TinyTensor | undefined;
    const half = new Uint8Array(64 * 2);
    for (let i = 0; i < 64; i++) half[2 * i + 1] = 0x3c; // 1.0
    const model = await GgufModel.open(
      fileOf(
        tinyGguf({
          tensors: (all) => {
            written = all.find(({ name }) => name === 'blk.1.ffn_down.weight');
            return all.map((each) =>
              each.name === 'output_norm.weight' ? { ...each, raw: { ggmlType: 1, bytes: half } } : each,
            );
          },
        }),
      ),
    );
    expect(await model.readTensor('blk.1.ffn_down.weight')).toEqual(written!.values);
    expect(await model.readTensor('output_norm.weight')).toEqual(new Float32Array(64).fill(1));
    await expect(model.readTensor('blk.2.attn_q.weight')).rejects.toThrow(errors.MissingTensorError);
    expect(() => model.tensorShape('nothing')).toThrow(/expected tensor nothing, found none/);
    await model.close();
  });

  test('linear RoPE scaling, by its new and its old key; an unset factor means none', async () => {
    const scale = async (metadata: TinyOverrides['metadata'] & object) =>
      (await openTiny({ metadata })).hyperparameters.ropeScale;
    const factor = { 'llama.rope.scaling.factor': { float: 4 } };
    expect(await scale({ 'llama.rope.scaling.type': 'linear', ...factor })).toBe(4);
    expect(await scale({ 'llama.rope.scale_linear': { float: 2 } })).toBe(2);
    expect(await scale({ 'llama.rope.scaling.type': 'none', ...factor })).toBe(1);
    expect(await scale({ 'llama.rope.scaling.factor': { float: 0 } })).toBe(1);
  });

  test('heads default to the width they divide', async () => {
    const keys = ['llama.attention.key_length', 'llama.attention.value_length', 'llama.rope.dimension_count'];
    const model = await openTiny({ metadata: Object.fromEntries(keys.map((key) => [key, undefined])) });
    expect(model.hyperparameters).toMatchObject({ headSize: 16, ropeDimensions: 16 });
  });
});

describe('models that are not supported', () => {
  test.each<[string, TinyOverrides['metadata'] & object, typeof errors.GgufError, RegExp]>([
    ['another architecture', { 'general.architecture': 'qwen2' }, errors.UnsupportedArchitectureError, /qwen2/],
    ['no architecture', { 'general.architecture': undefined }, errors.GgufMetadataError, /general\.architecture/],
    ['mixture of experts', { 'llama.expert_count': 8 }, errors.MixtureOfExpertsError, /8 experts/],
    ['a split file', { 'split.count': 3 }, errors.SplitGgufError, /one of 3 parts/],
    ['SentencePiece', { 'tokenizer.ggml.model': 'llama' }, errors.UnsupportedTokenizerError, /SentencePiece/],
    ['WordPiece', { 'tokenizer.ggml.model': 'bert' }, errors.UnsupportedTokenizerError, /"bert"/],
    [
      'unknown pre-tokenizer',
      { 'tokenizer.ggml.pre': 'mystery' },
      errors.UnknownPreTokenizerError,
      /smollm.*"mystery"/s,
    ],
    ['no pre-tokenizer', { 'tokenizer.ggml.pre': undefined }, errors.UnknownPreTokenizerError, /found none/],
    ['yarn', { 'llama.rope.scaling.type': 'yarn' }, errors.UnsupportedRopeScalingError, /"yarn"/],
    [
      'RoPE attention factor',
      { 'llama.rope.scaling.attn_factor': { float: 1.2 } },
      errors.UnsupportedRopeScalingError,
      /1\.2/,
    ],
  ])('%s', async (_, metadata, kind, part) => {
    await expectRefusal(fileOf(tinyGguf({ metadata })), kind, part);
  });

  test('a ggml type without dequantiser', async () => {
    const bytes = new Uint8Array(64);
    const path = fileOf(
      tinyGguf({
        tensors: (all) => all.map((each, i) => (i === 0 ? { ...each, raw: { ggmlType: 16, bytes } } : each)),
      }),
    );
    await expectRefusal(path, errors.UnsupportedTensorTypeError, /token_embd\.weight.*Q4_K.*type number 16/s);
  });

  test('attention biases', async () => {
    const bias = { name: 'blk.0.attn_q.bias', shape: [64], values: new Float32Array(64) };
    const path = fileOf(tinyGguf({ tensors: (all) => [...all, bias] }));
    await expectRefusal(path, errors.UnexpectedTensorError, /attn_q\.bias/);
  });
});

describe('metadata that contradicts itself', () => {
  test.each<[string, TinyOverrides, typeof errors.GgufError, RegExp]>([
    ['KV heads', { metadata: { 'llama.attention.head_count_kv': 3 } }, errors.GgufMetadataError, /3 of 4/],
    ['zero layers', { metadata: { 'llama.block_count': 0 } }, errors.GgufMetadataError, /from 1 to 1024.*found 0/],
    ['a billion layers', { metadata: { 'llama.block_count': 1e9 } }, errors.GgufMetadataError, /1000000000/],
    ['a string for a size', { metadata: { 'llama.embedding_length': '64' } }, errors.GgufMetadataError, /"64"/],
    ['odd rotation', { metadata: { 'llama.rope.dimension_count': 15 } }, errors.GgufMetadataError, /even.*15/],
    ['wide rotation', { metadata: { 'llama.rope.dimension_count': 32 } }, errors.GgufMetadataError, /at most 16/],
    ['wider values', { metadata: { 'llama.attention.value_length': 32 } }, errors.GgufMetadataError, /32/],
    [
      'a RoPE base of infinity',
      { metadata: { 'llama.rope.freq_base': { float: Infinity } } },
      errors.GgufMetadataError,
      /Infinity/,
    ],
    ['heads by layer', { metadata: { 'llama.attention.head_count': [4, 2] } }, errors.GgufMetadataError, /4, 2/],
    ['alignment', { metadata: { 'general.alignment': 33 } }, errors.GgufMetadataError, /power of two.*33/],
    [
      'BOS outside the vocabulary',
      { metadata: { 'tokenizer.ggml.bos_token_id': 270 } },
      errors.GgufMetadataError,
      /270/,
    ],
    ['a token twice', { userDefinedTokens: ['a'] }, errors.GgufMetadataError, /"a" as 100 and 270/],
    [
      'too few token types',
      { metadata: { 'tokenizer.ggml.token_type': [1, 1] } },
      errors.GgufMetadataError,
      /270 token types/,
    ],
    [
      'no merges',
      { metadata: { 'tokenizer.ggml.merges': undefined } },
      errors.GgufMetadataError,
      /tokenizer\.ggml\.merges/,
    ],
    ['a missing tensor', { tensors: (all) => all.slice(0, -1) }, errors.MissingTensorError, /output_norm\.weight/],
    ['a shape', { metadata: { 'llama.feed_forward_length': 96 } }, errors.TensorShapeError, /\[96, 64\].*\[128, 64\]/s],
    [
      'frequency factors',
      { ropeFrequencyFactors: [1, 2, 3] },
      errors.TensorShapeError,
      /rope_freqs\.weight of shape \[8\]/,
    ],
  ])('%s', async (_, overrides, kind, part) => {
    await expectRefusal(fileOf(tinyGguf(overrides)), kind, part);
  });
});

describe('foreign files', () => {
  test.each<[string, string, RegExp]>([
    ['an empty file', '', /an empty file/],
    ['text', 'Once upon a time', /4f 6e 63 65/],
    ['two bytes', 'GG', /47 47/],
    ['a zip', 'PK\x03\x04', /a zip archive/],
    ['an LFS pointer', 'version https://git-lfs', /git lfs pull/],
    ['a web page', '<!doctype html>', /web page/],
    ['ONNX', '\x08\x0a\x12\x07', /ONNX/],
  ])('%s', async (_, start, part) => {
    await expectRefusal(fileOf(Buffer.from(start, 'latin1')), errors.NotGgufError, part);
  });

  test('a directory, and nothing at all', async () => {
    const directory = join(folder, 'directory.gguf');
    mkdirSync(directory);
    await expectRefusal(directory, errors.GgufUnreadableError, /found a directory/);
    await expectRefusal(join(folder, 'absent.gguf'), errors.GgufUnreadableError, /no such file/);
  });

  test.each([
    [1, /version 1/],
    [4, /version 4/],
    [0x03000000, /big-endian/],
    [0, /version 0/],
  ])('version %d', async (version, part) => {
    const bytes = tinyGguf();
    bytes.writeUInt32LE(version, 4);
    await expectRefusal(fileOf(bytes), errors.UnsupportedGgufVersionError, part);
  });
});

describe('truncated files', () => {
  // in the preamble, a key, the vocabulary, the tensor infos, the first and the last tensor
  test.each([4, 7, 20, 40, 300, 5000, 10_000, 20_000, 60_000, -1])('cut at byte %d', async (length) => {
    const whole = tinyGguf();
    await expectRefusal(fileOf(whole.subarray(0, length)), errors.TruncatedGgufError, /download is incomplete/);
  });

  test('a file cut short after it was opened', async () => {
    const path = fileOf(tinyGguf());
    const model = await GgufModel.open(path);
    writeFileSync(path, tinyGguf().subarray(0, 20_000));
    await expect(model.readTensor('output_norm.weight')).rejects.toThrow(errors.TruncatedGgufError);
    await model.close();
  });
});

describe('hostile files', () => {
  const preamble = (tensors: bigint, keys: bigint) => {
    const bytes = Buffer.alloc(24);
    bytes.write('GGUF');
    bytes.writeUInt32LE(3, 4);
    bytes.writeBigUInt64LE(tensors, 8);
    bytes.writeBigUInt64LE(keys, 16);
    return bytes;
  };
  const uint64 = (value: bigint) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64LE(value);
    return bytes;
  };
  const uint32 = (value: number) => uint64(BigInt(value)).subarray(0, 4);
  const name = (text: string) => Buffer.concat([uint64(BigInt(text.length)), Buffer.from(text)]);
  const huge = 2n ** 64n - 1n;
  const oneKey = (...value: Buffer[]) => Buffer.concat([preamble(0n, 1n), name('k'), ...value, Buffer.alloc(4096)]);
  const oneTensor = (...info: Buffer[]) => Buffer.concat([preamble(1n, 0n), ...info, Buffer.alloc(4096)]);

  test.each<[string, Buffer, typeof errors.GgufError, RegExp]>([
    ['tensor count', preamble(huge, 0n), errors.GgufLimitError, new RegExp(`at most ${MAX_TENSORS} tensors`)],
    ['key count', preamble(0n, huge), errors.GgufLimitError, new RegExp(`at most ${MAX_METADATA_KEYS} metadata keys`)],
    ['keys that are not there', preamble(0n, 1000n), errors.TruncatedGgufError, /file of 24 bytes/],
    ['key length', Buffer.concat([preamble(0n, 1n), uint64(huge)]), errors.GgufLimitError, /at most 1024 bytes/],
    ['string length', oneKey(uint32(8), uint64(huge)), errors.GgufLimitError, new RegExp(`${MAX_STRING_BYTES}`)],
    ['string past the end', oneKey(uint32(8), uint64(100_000n)), errors.TruncatedGgufError, /file of/],
    [
      'array length',
      oneKey(uint32(9), uint32(0), uint64(huge)),
      errors.GgufLimitError,
      new RegExp(`${MAX_ARRAY_LENGTH}`),
    ],
    ['array past the end', oneKey(uint32(9), uint32(10), uint64(999_999n)), errors.TruncatedGgufError, /file of/],
    [
      'nested arrays',
      oneKey(uint32(9), ...Array.from({ length: 60 }, () => [uint32(9), uint64(1n)]).flat()),
      errors.GgufLimitError,
      /nested/,
    ],
    ['value type', oneKey(uint32(13)), errors.GgufMetadataError, /type 13/],
    ['dimensions', oneTensor(name('t'), uint32(200)), errors.GgufLimitError, /at most 4 dimensions/],
    ['dimension', oneTensor(name('t'), uint32(1), uint64(huge)), errors.GgufLimitError, /at most 2147483647 elements/],
    [
      'prototype key',
      Buffer.concat([preamble(0n, 1n), name('__proto__'), uint32(9), uint32(0), uint64(0n)]),
      errors.GgufMetadataError,
      /__proto__/,
    ],
    [
      'a key twice',
      Buffer.concat([preamble(0n, 2n), name('k'), uint32(7), Buffer.alloc(1), name('k'), uint32(7), Buffer.alloc(1)]),
      errors.GgufMetadataError,
      /"k" twice/,
    ],
  ])('%s', async (_, bytes, kind, part) => {
    await expectRefusal(fileOf(bytes), kind, part);
  });

  test('tensor data far past the end, and a tensor of more elements than memory', async () => {
    const bytes = tinyGguf();
    const at = bytes.indexOf('token_embd.weight') + 'token_embd.weight'.length + 4; // its dimensions
    const far = Buffer.from(bytes);
    far.writeBigUInt64LE(2n ** 63n, at + 16 + 4);
    await expectRefusal(fileOf(far), errors.TruncatedGgufError, /token_embd\.weight/);
    const vast = Buffer.from(bytes);
    vast.writeBigUInt64LE(2n ** 31n - 1n, at);
    vast.writeBigUInt64LE(2n ** 31n - 1n, at + 8);
    await expectRefusal(fileOf(vast), errors.GgufLimitError, /elements in token_embd\.weight/);
  });

  test('random damage never gives anything but a named error or a model', async () => {
    const whole = tinyGguf();
    let state = 7;
    const next = (below: number) => {
      state = (state * 48271) % 2147483647;
      return state % below;
    };
    const headerBytes = whole.indexOf('output_norm.weight');
    const path = fileOf(whole);
    let refused = 0;
    for (let round = 0; round < 200; round++) {
      const damaged = Buffer.from(whole);
      for (let i = 0; i < 3; i++) damaged[next(headerBytes)] = next(256);
      writeFileSync(path, damaged);
      try {
        await (await GgufModel.open(path)).close();
      } catch (error) {
        expect(error).toBeInstanceOf(errors.GgufError);
        refused++;
      }
    }
    expect(refused).toBeGreaterThan(20);
  });
});
