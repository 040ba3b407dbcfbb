import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { GGML_TYPES } from './ggml-types.js';

interface Golden {
  readonly type: string;
  readonly ggml_type: number;
  readonly block_size: number;
  readonly block_bytes: number;
  readonly shape: readonly number[];
  readonly raw_base64: string;
  readonly float32_base64: string;
}

const goldens = JSON.parse(readFileSync('test/fixtures/gguf-dequant.json', 'utf8')) as Golden[];

function fromBase64(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text, 'base64'));
}

test('the goldens cover 14 types', () => {
  expect(new Set(goldens.map((golden) => golden.type)).size).toBe(14);
});

test.each(goldens.map((golden) => [golden.type, golden] as const))('%s unpacks to the golden values', (_, golden) => {
  const type = GGML_TYPES.get(golden.ggml_type)!;
  expect(type).toMatchObject({
    name: golden.type,
    blockSize: golden.block_size,
    blockBytes: golden.block_bytes,
  });
  const expected = new Float32Array(fromBase64(golden.float32_base64).buffer);
  const raw = fromBase64(golden.raw_base64);
  expect(raw.length).toBe((expected.length / type.blockSize) * type.blockBytes);
  const out = new Float32Array(expected.length);
  type.dequantise(raw, out);
  for (let i = 0; i < out.length; i++) {
    const tolerance = 1e-6 * Math.max(Math.abs(expected[i]!), 1e-6);
    if (!(Math.abs(out[i]! - expected[i]!) <= tolerance)) expect(out[i], `value ${i}`).toBe(expected[i]);
  }
});

test('F32 and every half bit pattern', () => {
  const values = Float32Array.from([0, -0, 1.5, -3.25e-20, Number.POSITIVE_INFINITY]);
  const out = new Float32Array(values.length);
  GGML_TYPES.get(0)!.dequantise(new Uint8Array(values.buffer), out);
  expect(out).toEqual(values);

  const halves = new Float32Array(4);
  GGML_TYPES.get(1)!.dequantise(Uint8Array.from([0x01, 0x00, 0xff, 0x7b, 0x00, 0xfc, 0x00, 0x80]), halves);
  expect([...halves]).toEqual([2 ** -24, 65504, Number.NEGATIVE_INFINITY, -0]);
});
