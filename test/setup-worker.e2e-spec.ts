import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppProcess } from './longhaul-process.js';
import { tinyGguf, writeTinyGguf } from './tiny-gguf.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-refusal-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a worker that cannot start', () => {
  const refused = async (env: NodeJS.ProcessEnv): Promise<string[]> => {
    const worker = new AppProcess('worker', { LONGHAUL_DATA_DIR: folder, ...env });
    expect((await worker.exited()).code).toBe(78); // not to be started again
    return worker.lines;
  };

  it('says in one line what is wrong with its model', async () => {
    const model = join(folder, 'cut.gguf');
    await writeFile(model, tinyGguf().subarray(0, 20_000));
    expect(await refused({ LONGHAUL_MODEL: model })).toEqual([
      expect.stringMatching(/^worker: .*cut\.gguf: expected .*, found /),
    ]);
  });

  it('refuses a model without a chat template, and one whose template does not parse', async () => {
    const model = join(folder, 'base.gguf');
    writeTinyGguf(model, { metadata: { 'tokenizer.chat_template': undefined } });
    expect(await refused({ LONGHAUL_MODEL: model })).toEqual([expect.stringContaining('expected a chat template')]);
    writeTinyGguf(model, { metadata: { 'tokenizer.chat_template': '{% for' } });
    expect(await refused({ LONGHAUL_MODEL: model })).toEqual([expect.stringContaining('one that does not parse')]);
  });

  it.each([
    ['LONGHAUL_THREADS', 'abc'],
    ['LONGHAUL_COMPRESSION', 'zip:0.5'],
  ])('names %s=%s', async (name, value) => {
    expect((await refused({ [name]: value })).join('\n')).toMatch(
      new RegExp(`${name}: expected .* found .*${value.slice(0, 3)}`),
    );
  });
});
