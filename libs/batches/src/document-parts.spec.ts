import { join } from 'node:path';
import { GgufModel, TokenEnds } from '@app/gguf-model';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { splitDocument } from './document-parts.js';
import { cutMiddle } from './middle-cut.js';
import { type DocumentTokenizer, tokenizeDocument } from './tokenized-document.js';

let model: GgufModel;
let tokenizer: DocumentTokenizer;
beforeAll(async () => {
  model = await GgufModel.open(join(import.meta.dirname, '../../../models/smollm2-135m-instruct.q4_1.gguf'));
  const ends = new TokenEnds(model.tokenizer);
  tokenizer = { tokenEnds: async (text) => ends.of(text) };
});
afterAll(() => model?.close());

const tokensOf = (text: string): number => model.tokenizer.encode(text).length;
const split = async (text: string, most: number) =>
  splitDocument(await tokenizeDocument(text, tokenizer), most, tokenizer);
const cut = async (text: string, most: number) => cutMiddle(await tokenizeDocument(text, tokenizer), most, tokenizer);

/** Texts with words, sentences, lines, paragraphs, other scripts and long runs without any border. */
const texts = fc
  .array(
    fc.constantFrom('The lease ', 'ends. ', 'Why? ', '\n', '\n\n', '漢字。', '😀', 'é', 'x'.repeat(40), '  ', 'a.'),
    {
      maxLength: 120,
    },
  )
  .map((words) => words.join(''));

describe('splitDocument', () => {
  it('gives parts that fit and that are the document, joined', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 8, max: 60 }), async (text, most) => {
        const parts = await split(text, most);
        expect(parts.map((part) => part.text).join('')).toBe(text);
        for (const part of parts) {
          expect(part.tokens).toBe(tokensOf(part.text));
          expect(part.tokens).toBeLessThanOrEqual(most);
          expect(part.text).not.toBe('');
        }
      }),
      { numRuns: 300 },
    );
  });

  it('splits between paragraphs, else between sentences, else between lines', async () => {
    const paragraphs = Array.from({ length: 6 }, (_, i) => `Paragraph ${i} has a sentence. It has another one.\n\n`);
    const size = tokensOf(paragraphs[0]!) + 5;
    expect((await split(paragraphs.join(''), 2 * size)).map((part) => part.text)).toEqual([
      paragraphs.slice(0, 2).join(''),
      paragraphs.slice(2, 4).join(''),
      paragraphs.slice(4).join(''),
    ]);
    const sentences = Array.from({ length: 9 }, (_, i) => `Sentence number ${i} says little. `).join('');
    for (const part of await split(sentences, 20)) expect(part.text).toMatch(/^Sentence .* little\. $/);
    const lines = Array.from({ length: 9 }, (_, i) => `entry ${i} of the list\n`).join('');
    for (const part of await split(lines, 20)) expect(part.text).toMatch(/^entry [\s\S]*list\n$/);
  });

  it('leaves a text whole that fits, and splits nothing into nothing', async () => {
    expect(await split('One. Two.\n\nThree.', 20)).toHaveLength(1);
    expect(await split('', 20)).toEqual([]);
  });
});

describe('cutMiddle', () => {
  it('keeps both ends, half and half, with nothing in between', async () => {
    await fc.assert(
      fc.asyncProperty(texts, fc.integer({ min: 1, max: 60 }), async (text, most) => {
        const { ends } = await tokenizeDocument(text, tokenizer);
        const { text: left, kept } = await cut(text, most);
        expect(tokensOf(left)).toBeLessThanOrEqual(most);
        const head = Math.ceil(kept / 2);
        const before = text.slice(0, head === 0 ? 0 : ends[head - 1]);
        const after = text.slice(kept === head ? text.length : ends[ends.length - (kept - head) - 1]);
        expect(left).toBe(kept === ends.length ? text : before + after);
      }),
      { numRuns: 300 },
    );
  });

  it('uses all the room of ordinary text', async () => {
    const text = Array.from({ length: 500 }, (_, i) => `The clause number ${i} binds the tenant.`).join(' ');
    const { kept } = await cut(text, 1001);
    expect(kept).toBeGreaterThan(995);
  });
});

it('tokenises a long text as if at once', async () => {
  const text = Array.from({ length: 6000 }, (_, i) => `Word ${i} stands here`).join('\n\n');
  const { ends } = await tokenizeDocument(text, tokenizer);
  expect(ends).toEqual(await tokenizer.tokenEnds(text));
  const unbroken = '😀'.repeat(20_000);
  expect((await tokenizeDocument(unbroken, tokenizer)).ends.at(-1)).toBe(unbroken.length);
});
