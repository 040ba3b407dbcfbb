import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, describe, expect, it } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { BlockEncoder } from './block-encoder.js';
import { GgufModel } from './gguf-model.js';
import { PRE_TOKENIZER_NAMES } from './pre-tokenizers.js';

const folder = mkdtempSync(join(tmpdir(), 'blocks-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** What pre-tokenizers treat in different ways. */
const pieces = fc.constantFrom(
  'the',
  'in',
  'A',
  "don't",
  "'s",
  "L'",
  'é',
  'שלום',
  '中文',
  'ﬁ',
  '½',
  '12',
  '1234',
  ' ',
  '  ',
  '\n',
  '\n\n',
  '\t',
  '\r\n',
  '\u00a0',
  '.',
  '...',
  '(',
  '|',
  '"',
  '-',
  '/',
  '😀',
  'e\u0301',
);
const text = fc.array(pieces, { maxLength: 60 }).map((parts) => parts.join(''));

describe('BlockEncoder', () => {
  // One of each family would do; all of them cost little.
  it.each(PRE_TOKENIZER_NAMES)('cuts where %s ends a word', async (name) => {
    const path = join(folder, `${name}.gguf`);
    writeTinyGguf(path, { metadata: { 'tokenizer.ggml.pre': name } });
    const model = await GgufModel.open(path);
    await model.close();
    const { tokenizer } = model;
    const plain = (part: string) => tokenizer.encode(part); // texts this short are never cut
    fc.assert(
      fc.property(text, (whole) => {
        expect(new BlockEncoder(plain, 4).encode(whole)).toEqual(plain(whole));
      }),
      { numRuns: 60 },
    );
  });

  it('encodes what texts have in common once, and keeps no more than it may', () => {
    const seen: string[] = [];
    const encoder = new BlockEncoder(
      (part) => {
        seen.push(part);
        return [...part].map((character) => character.charCodeAt(0));
      },
      20,
      100,
    );
    const document = 'one two three four five six seven eight nine ten ';
    const ids = [...`${document}why?`].map((character) => character.charCodeAt(0));
    expect(encoder.encode(`${document}why?`)).toEqual(ids);
    const first = seen.length;
    encoder.encode(`${document}who?`);
    expect(seen.slice(first)).toHaveLength(1);
    expect(seen.at(-1)).toMatch(/who\?$/);
    for (let i = 0; i < 20; i++) encoder.encode(`${i} ${document}`);
    seen.length = 0;
    expect(encoder.encode(`${document}why?`)).toEqual(ids);
    expect(seen).toHaveLength(first);
  });
});
