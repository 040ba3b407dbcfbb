import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { GgufModel } from './gguf-model.js';
import { TokenEnds } from './token-ends.js';

let model: GgufModel;
let ends: TokenEnds;
beforeAll(async () => {
  model = await GgufModel.open(join(import.meta.dirname, '../../../models/smollm2-135m-instruct.q4_1.gguf'));
  ends = new TokenEnds(model.tokenizer);
});
afterAll(() => model?.close());

it('says where the tokens of a plain text end', () => {
  const text = 'The lease ends in May.\n\nWho pays?';
  const tokens = model.tokenizer.encode(text).map((id) => model.tokenizer.decode([id]));
  const found = ends.of(text);
  expect([...found].map((end, i) => text.slice(i === 0 ? 0 : found[i - 1]!, end))).toEqual(tokens);
  expect(ends.of('')).toEqual(new Uint32Array(0));
});

it('never ends within a character', () => {
  const text = fc.string({ unit: fc.constantFrom('a', ' ', '\n', 'é', 'ß', '漢', '😀', '½', '.'), maxLength: 40 });
  fc.assert(
    fc.property(text, (any) => {
      const found = ends.of(any);
      expect(found.length).toBe(model.tokenizer.encode(any).length);
      const borders = new Set([...any].map((_, i, all) => all.slice(0, i + 1).join('').length));
      for (const [i, end] of found.entries()) {
        expect(borders).toContain(end);
        expect(end).toBeGreaterThanOrEqual(i === 0 ? 0 : found[i - 1]!);
      }
      expect(found.at(-1) ?? 0).toBe(any.length);
    }),
    { numRuns: 300 },
  );
});
