import { describe, expect, it } from 'vitest';
import { LongDocuments, type LongPrompt, sharedReserve, sharedReserves } from './long-documents.js';
import { mapText } from './map-reduce-prompts.js';

/** Every character is a token. */
const characters = { tokenEnds: async (text: string) => Uint32Array.from(text, (_, i) => i + 1) };
const CONTEXT = 1600;
/** What stands around the document. */
const AROUND = 40;

const prompt = (change: Partial<LongPrompt> = {}): LongPrompt => ({
  mode: 'middle',
  document: 'd'.repeat(4000),
  answer: 60,
  param: 'messages',
  encode: async (text) => new Int32Array(text.length + AROUND),
  ...change,
});
const documents = () => new LongDocuments(characters, CONTEXT);

describe('LongDocuments', () => {
  it('leaves alone what fits to the last token', async () => {
    const longest = CONTEXT - AROUND - 60;
    expect(await documents().measure(prompt({ document: 'd'.repeat(longest) }))).toBeUndefined();
    expect(await documents().measure(prompt({ document: 'd'.repeat(longest + 1) }))).toBeDefined();
    expect(
      await documents().measure(prompt({ document: 'd'.repeat(longest + 59), answer: undefined })),
    ).toBeUndefined();
  });

  it('reserves room for an answer of no given length', async () => {
    const long = documents();
    const item = (await long.measure(prompt({ answer: undefined })))!;
    expect(item.reserve).toBe(AROUND + CONTEXT / 16 + 8);
    const { text, kept } = await long.middle(prompt(), item);
    expect({ kept, length: text.length }).toEqual({ kept: CONTEXT - item.reserve, length: CONTEXT - item.reserve });
  });

  it('cuts and splits so that every prompt fits with its answer', async () => {
    const long = documents();
    for (const answer of [1, 60, 400, 700]) {
      for (const mode of ['middle', 'map_reduce'] as const) {
        const asked = prompt({ answer, mode });
        const item = (await long.measure(asked))!;
        if (mode === 'middle') {
          expect((await asked.encode((await long.middle(asked, item)).text)).length + answer).toBeLessThanOrEqual(
            CONTEXT,
          );
          continue;
        }
        const parts = await long.parts(asked, item);
        for (const [i, { text }] of parts.entries()) {
          const mapped = Math.min(answer, CONTEXT / 8);
          expect((await asked.encode(mapText(text, i, parts.length))).length + mapped).toBeLessThanOrEqual(CONTEXT);
        }
      }
    }
  });

  it.each([
    ['middle', { answer: CONTEXT - 80 }],
    ['map_reduce', { answer: CONTEXT - 400 }],
    ['map_reduce', { encode: async (text: string) => new Int32Array(text.length + CONTEXT - 300) }],
  ] as const)('refuses for %s what leaves the document no room', async (mode, change) => {
    await expect(documents().measure(prompt({ mode, ...change }))).rejects.toMatchObject({
      status: 400,
      param: 'messages',
      code: 'context_length_exceeded',
      message: expect.stringContaining(`truncation '${mode}'`),
    });
  });
});

describe('sharedReserve', () => {
  const shared = (...reserves: number[]) => reserves.map(sharedReserve(reserves, 8192));

  it('is that of the longest prompt, rounded up, and a sixteenth of the context at least', () => {
    expect(shared(20)).toEqual([512]);
    expect(shared(300, 511, 40)).toEqual([512, 512, 512]);
    expect(shared(700, 300, 513)).toEqual([768, 768, 768]);
  });

  it('costs no prompt much more than its own', () => {
    expect(shared(4000, 300, 2100, 1900)).toEqual([4096, 512, 4096, 2048]);
  });

  it('is shared by prompts about the same document only', () => {
    const items = [
      { key: 'a', reserve: 700 },
      { key: 'a', reserve: 300 },
      { key: 'b', reserve: 300 },
    ];
    expect(items.map(sharedReserves(items, 8192)).map(({ reserve }) => reserve)).toEqual([768, 768, 512]);
  });
});
