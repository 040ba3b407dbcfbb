import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { canBeWritten } from './constrained-text.js';
import { writeTinyGguf } from './tiny-gguf.js';

/** The compiled library: a thread can't be started from TypeScript. */
const { JsonConstraints } = (await import(
  '../dist/libs/inference/src/json-constraint.js' as string
)) as typeof import('../libs/inference/src/json-constraint.js');

const folder = mkdtempSync(join(tmpdir(), 'longhaul-costly-'));
const format = (schema: object) => ({ schema: JSON.stringify(schema), strict: true });
const string = (maxLength: number) => ({ type: 'string', maxLength });
let gguf: GgufModel;
/** One compiles everything in threads of their own, the other everything here. */
let elsewhere: InstanceType<typeof JsonConstraints>;
let here: InstanceType<typeof JsonConstraints>;

beforeAll(async () => {
  const modelPath = join(folder, 'tiny.gguf');
  writeTinyGguf(modelPath);
  gguf = await GgufModel.open(modelPath);
  elsewhere = new JsonConstraints(gguf.tokenizer, 0);
  here = new JsonConstraints(gguf.tokenizer, Number.POSITIVE_INFINITY);
});
afterAll(async () => {
  await elsewhere?.close();
  await gguf?.close();
  rmSync(folder, { recursive: true, force: true });
});

test('a thread of its own allows what this one does, for several answers at once', async () => {
  const schema = format({ type: 'object', properties: { a: string(40) }, required: ['a'] });
  const tokens = gguf.tokenizer.encode('{"a": "é or not"}');
  const expected = await here.open(schema);
  const found = await Promise.all([elsewhere.open(schema), elsewhere.open(schema)]);
  for (const token of tokens) {
    for (const { mask } of found) expect(Buffer.from(mask.buffer)).toEqual(Buffer.from(expected.mask.slice().buffer));
    for (const constraint of [expected, ...found]) constraint.accept(token);
    await Promise.all([expected, ...found].map(({ ready }) => ready));
  }
  for (const constraint of [expected, ...found]) constraint.dispose();
  expect(await canBeWritten(`"${'x'.repeat(9)}"`, await elsewhere.open(format(string(8))), gguf.tokenizer)).toBe(false);
});

test('more schemas than threads wait for those that are used', async () => {
  const held = await Promise.all([1, 2].map((length) => elsewhere.open(format(string(length)))));
  const others = [3, 4].map((length) => elsewhere.open(format(string(length))));
  const gone = new AbortController();
  const waits = elsewhere.open(format(string(5)), gone.signal);
  gone.abort();
  await expect(waits).rejects.toThrow('aborted');
  for (const constraint of held) constraint.dispose();
  for (const other of others) (await other).dispose();
});

test('whoever gives up ends what is compiled for nobody else, and it can be asked for again', async () => {
  const schema = format(string(1000));
  const gone = new AbortController();
  const given = elsewhere.open(schema, gone.signal);
  gone.abort();
  await expect(given).rejects.toThrow('aborted');
  await expect(elsewhere.open(schema, gone.signal)).rejects.toThrow('aborted');
  const constraint = await elsewhere.open(schema);
  // What has ended says so.
  await elsewhere.close();
  constraint.accept(gguf.tokenizer.encode('"')[0]!);
  await expect(constraint.ready).rejects.toThrow('thread has ended');
  constraint.dispose();
});
