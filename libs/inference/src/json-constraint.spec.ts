import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canBeWritten } from '../../../test/constrained-text.js';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { Engine } from './engine.js';
import { UnusableSchemaError } from './engine-errors.js';
import { JsonConstraints } from './json-constraint.js';
import { allows } from './token-mask.js';

const string = { type: 'string' };
const person = {
  type: 'object',
  properties: { name: string, age: { type: 'integer' }, tags: { type: 'array', items: string, maxItems: 2 } },
  required: ['name', 'age', 'tags'],
  additionalProperties: false,
};

describe('JSON constraints', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-json-'));
  const modelPath = join(folder, 'tiny.gguf');
  let gguf: GgufModel;
  let engine: Engine;
  let constraints: JsonConstraints;

  beforeAll(async () => {
    writeTinyGguf(modelPath, { contextLength: 2048, userDefinedTokens: ['{"', '<html>'] });
    gguf = await GgufModel.open(modelPath);
    engine = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
    // A thread cannot be started from TypeScript: all in this one.
    constraints = new JsonConstraints(gguf.tokenizer, Number.POSITIVE_INFINITY);
  });
  afterAll(async () => {
    await engine.close();
    await gguf.close();
    rmSync(folder, { recursive: true, force: true });
  });

  const open = (schema: unknown, strict = true) => constraints.open({ schema: JSON.stringify(schema), strict });

  /** Whether a schema lets a text be written and ended. */
  const accepts = async (schema: unknown, text: string, strict = true) =>
    canBeWritten(text, await open(schema, strict), gguf.tokenizer);

  test.each([
    ['{"name": "é \\" <|im_start|> \\u00e9", "age": -7, "tags": ["a", "b"]}', true],
    ['{"name": "x", "age": 7, "tags": []}', true],
    ['{"name": "x", "age": 7}', false],
    ['{"name": "x", "age": "7", "tags": []}', false],
    ['{"name": "x", "age": 7, "tags": ["a", "b", "c"]}', false],
    ['{"name": "x", "age": 7, "tags": [], "more": 1}', false],
    ['{"name": "x", "age": 7, "tags": []} and more', false],
    ['{"name": "x', false],
    ['Sure: {', false],
  ])('%s: %s', async (text, valid) => {
    expect(await accepts(person, text)).toBe(valid);
  });

  test('control tokens are no text, and only those that end the turn may come, at the end', async () => {
    const constraint = await open({ type: 'object' }, false);
    for (let token = 0; token < gguf.tokenizer.vocabularySize; token++) {
      if (gguf.tokenizer.isControlToken(token)) expect(allows(constraint.mask, token)).toBe(false);
    }
    for (const token of gguf.tokenizer.encode('{"')) constraint.accept(token);
    await constraint.ready;
    for (let token = 0; token < gguf.tokenizer.vocabularySize; token++) {
      if (gguf.tokenizer.isControlToken(token)) expect(allows(constraint.mask, token)).toBe(false);
    }
    constraint.dispose();
    constraint.dispose();
  });

  test('schemas that nothing follows, or that the library gives up on, are refused, and others go on', async () => {
    const held = await open(person);
    for (const schema of [
      { $ref: '#' },
      { $ref: '#/$defs/a', $defs: { a: { $ref: '#/$defs/a' } } },
      { type: 'array', items: string, minItems: 3, maxItems: 1 },
      { type: 'unknown' },
    ]) {
      await expect(open(schema)).rejects.toThrow(UnusableSchemaError);
    }
    expect(await accepts(person, '{"name": "x", "age": 7, "tags": []}')).toBe(true);
    held.accept(gguf.tokenizer.encode('{')[0] as number);
    await held.ready;
    held.dispose();
  });

  test('a model that talks nonsense writes valid JSON, whatever the temperature, beside free answers', async () => {
    const { handle } = await engine.prefill({ tokens: [5, 6, 7, 8], compression: { policy: 'full', budget: 1 } });
    const json = { schema: JSON.stringify(person), strict: true };
    const ask = (seed: number, format?: typeof json) =>
      engine.generate({
        handle,
        suffix: [9, 10],
        sampling: { temperature: seed % 3, topP: seed % 2 ? 1 : 0.9, seed, maxTokens: 600, stop: [], json: format },
      });
    const free = ask(1);
    const answers = await Promise.all(Array.from({ length: 9 }, (_, seed) => ask(seed, json)));
    expect((await free).text).not.toMatch(/^\{"name"/);
    const whole = answers.filter(({ finishReason }) => finishReason === 'stop');
    expect(whole.length).toBeGreaterThan(0);
    for (const { text } of whole) expect(Object.keys(JSON.parse(text))).toEqual(['name', 'age', 'tags']);
    for (const { text } of answers) expect(text).toMatch(/^\{"name": "/);
    await expect(ask(1, { schema: '{"$ref":"#"}', strict: true })).rejects.toThrow(UnusableSchemaError);
  });
});
