import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { UsageError } from './cli-error.js';
import { fileToUpload, findDocuments, linesOfFile } from './documents.js';

let folder: string;
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'longhaul-documents-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function files(...names: string[]): Promise<void> {
  for (const name of names) {
    await mkdir(join(folder, name, '..'), { recursive: true });
    await writeFile(join(folder, name), 'text');
  }
}

it('finds documents at any depth, leaves out the questions and what programs leave behind, and says what it passed over', async () => {
  await files('b.PDF', 'a/deep/one.docx', 'questions.txt', '.hidden.txt', '._b.pdf', '~$one.docx', 'scan.tiff');
  const { documents, passedOver } = await findDocuments([folder], join(folder, 'a/../questions.txt'));
  expect(documents.map(({ name }) => name)).toEqual(['a/deep/one.docx', 'b.PDF']);
  expect(passedOver).toEqual([join(folder, 'scan.tiff')]);
});

it('names documents by their paths where two share a name, and takes each but once', async () => {
  await files('x/lease.pdf', 'y/lease.pdf');
  const [x, y] = [join(folder, 'x/lease.pdf'), join(folder, 'y/lease.pdf')];
  const named = async (...given: string[]) => (await findDocuments(given)).documents.map(({ name }) => name);
  expect(await named(x, 'file-1')).toEqual(['lease.pdf', 'file-1']);
  expect(await named(x, y, x)).toEqual([x, y]);
  expect(await named(join(folder, 'x'), 'file-1', y)).toEqual([x, 'file-1', y]);
});

it('says what is missing', async () => {
  await files('scan.tiff');
  const refusals: [() => Promise<unknown>, RegExp][] = [
    [() => findDocuments([join(folder, 'none')]), /There is no file or folder .*none/],
    [() => findDocuments([folder]), /There is no document in .*: expected files named \.txt, .*\.docx/],
    [() => fileToUpload(folder), /is a folder; expected a file/],
    [() => linesOfFile(join(folder, 'none.txt')), /There is no file .*none\.txt/],
  ];
  for (const [refused, says] of refusals) {
    const error: unknown = await refused().catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(UsageError);
    expect((error as Error).message).toMatch(says);
  }
});
