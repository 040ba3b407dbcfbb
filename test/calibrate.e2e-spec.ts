import { execFile } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, it } from 'vitest';
import { writeTinyGguf } from './tiny-gguf.js';

const folder = mkdtempSync(join(tmpdir(), 'calibrate-'));
afterAll(() => rm(folder, { recursive: true }));

const model = join(folder, 'tiny.gguf');
const out = join(folder, 'tiny.calibration.json');
writeTinyGguf(model, { contextLength: 1024 });

const calibrate = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    const main = join(import.meta.dirname, '../dist/apps/cli/src/main.js');
    const measure = ['--samples', '4', '--length', '512', '--processes', '1', '--data-dir', folder];
    execFile(process.execPath, [main, 'calibrate', ...measure, ...args], (error, stdout, stderr) =>
      resolve({ code: Number(error?.code ?? 0), out: stdout, err: stderr }),
    );
  });

it('longhaul calibrate measures a model and writes its file beside it', async () => {
  const { code, out: printed, err } = await calibrate('--model', model, '--json');
  expect({ code, err: err.replace(/^.*calibrating.*\n/gm, '') }).toEqual({ code: 0, err: '' });
  expect(JSON.parse(printed)).toMatchObject({ out, tasks: 4, layers: 2, kv_heads: 2 });
  const file = JSON.parse(await readFile(out, 'utf8')) as { sensitivity: number[][]; loss: number[][][] };
  expect(file.sensitivity.flat().every((value) => value > 0)).toBe(true);
  expect([file.sensitivity, file.loss].map((rows) => rows.map(({ length }) => length))).toEqual([
    [2, 2],
    [2, 2],
  ]);
  expect((await readdir(folder)).filter((name) => name.endsWith('.part'))).toEqual([]);
});

it.each([
  [['--model', join(folder, 'none.gguf')], /no such file\. Check --model/],
  [['--model', model, '--documents', join(folder, 'none')], /--documents: cannot read the folder .*none \(ENOENT\)/],
  [['--model', model, '--documents', folder], /--documents: there is no \.txt file in/],
  [['--model', model, '--out', join(folder, 'none/x.json')], /Cannot write .*x\.json: no folder/],
])('longhaul calibrate says what is wrong before it measures: %o', async (args, says) => {
  const { code, out: printed, err } = await calibrate(...args);
  expect({ code, printed }).toEqual({ code: 2, printed: '' });
  expect(err).toMatch(says);
  expect(err.trim().split('\n')).toHaveLength(1);
});
