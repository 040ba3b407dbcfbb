import { describe, expect, test } from 'vitest';
import { readSettings, SECTIONS, SpeedOptionError } from './settings.js';

describe('options of the speed bench', () => {
  test('default to the whole bench on the default model', () => {
    const settings = readSettings([], '/somewhere');
    expect(settings.only).toEqual(SECTIONS);
    expect(settings.rounds).toBe(5);
    expect(settings.modelPath).toBe('/somewhere/models/smollm2-135m-instruct.q4_1.gguf');
    expect([settings.documents, settings.questions, settings.documentTokens, settings.answerTokens]).toEqual([
      4, 8, 8000, 64,
    ]);
  });

  test('select sections in the order of the bench', () => {
    expect(readSettings(['--only', 'decode,prefill'], '/').only).toEqual(['prefill', 'decode']);
  });

  test.each([
    [['--only', 'decode,preffil'], "found 'preffil'"],
    [['--rounds', '0'], '--rounds must be a whole number'],
    [['--budgets', '35'], '--budgets must be over 0 and at most 1'],
    [['--prefill-lengths', '512,many'], "found 'many'"],
    [['--precision', 'q4'], 'q8 or f32'],
  ])('%j is refused with what was expected', (args, message) => {
    expect(() => readSettings(args, '/')).toThrow(SpeedOptionError);
    expect(() => readSettings(args, '/')).toThrow(message);
  });
});
