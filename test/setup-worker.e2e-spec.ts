import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { AppProcess } from './longhaul-process.js';
import { tinyGguf } from './tiny-gguf.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-refusal-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

describe('a worker that cannot start', () => {
  it('says in one line what is wrong with its model', async () => {
    const model = join(folder, 'cut.gguf');
    await writeFile(model, tinyGguf().subarray(0, 20_000));
    const worker = new AppProcess('worker', { LONGHAUL_MODEL: model, LONGHAUL_DATA_DIR: folder });
    expect((await worker.exited()).code).not.toBe(0);
    expect(worker.lines).toEqual([expect.stringMatching(/^worker: .*cut\.gguf: expected .*, found /)]);
  });
});
