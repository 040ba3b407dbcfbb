import fc from 'fast-check';
import { expect, it } from 'vitest';
import { nextStep } from './combination.js';
import { fillFrame } from './document-frame.js';
import { mapTokens } from './long-documents.js';
import { combineText, type PartialAnswer } from './map-reduce-prompts.js';
import type { PromptEncoder } from './prompt.js';

const CONTEXT = 2048;
/** Every character is a token. */
const encoder: PromptEncoder = {
  contextLength: CONTEXT,
  vocabularySize: 300,
  encode: async (messages) => new Int32Array(messages.reduce((sum, { content }) => sum + content.length + 20, 0)),
  tokenEnds: async (text) => Uint32Array.from(text, (_, i) => i + 1),
};
const frame = { messages: [{ role: 'user', content: '' }], at: 0, before: '', after: '\n\nWho pays?' } as const;

it('combines until one answer is left, in prompts that fit', async () => {
  const lengths = fc.array(fc.integer({ min: 0, max: 400 }), { minLength: 1, maxLength: 40 });
  await fc.assert(
    fc.asyncProperty(lengths, fc.constantFrom(16, 100, 256, 900), async (contents, max_tokens) => {
      const combination = { frame, request: { model: 'm', max_tokens }, tokens: 9999 };
      const parts = contents.length;
      const mapped = mapTokens(max_tokens, CONTEXT);
      let answers: PartialAnswer[] = contents.map((length, part) => ({
        first: part,
        last: part,
        content: 'a'.repeat(length),
      }));
      for (;;) {
        const { isLast, packs } = await nextStep(answers, parts, combination, encoder);
        // Every answer, in order, once.
        expect(packs.flat().map(({ first, last }) => [first, last])).toEqual(
          answers.map(({ first, last }) => [first, last]),
        );
        for (const pack of packs) {
          const ids = await encoder.encode(fillFrame(frame, combineText(pack, parts)));
          expect(ids.length + (isLast ? max_tokens : mapped)).toBeLessThanOrEqual(CONTEXT);
        }
        if (isLast) {
          expect(packs).toHaveLength(1);
          break;
        }
        expect(packs.length).toBeLessThan(answers.length);
        answers = packs.map((pack) => ({
          first: pack[0]!.first,
          last: pack.at(-1)!.last,
          content: 'b'.repeat(mapped),
        }));
      }
    }),
    { numRuns: 200 },
  );
});

it('says which parts an answer is of', () => {
  const text = combineText(
    [
      { first: 0, last: 3, content: ' The tenant. ' },
      { first: 4, last: 4, content: 'Nobody.' },
    ],
    5,
  );
  expect(text).toContain('\n\nParts 1 to 4: The tenant.\n\nPart 5: Nobody.\n\n');
  expect(text).toContain('in 5 parts');
});
