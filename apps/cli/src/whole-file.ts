import { constants, createWriteStream } from 'node:fs';
import { access, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { CliError, UsageError } from './cli-error.js';

/** What takes long to make is better not begun where it cannot be written. */
export async function assertWritable(path: string): Promise<void> {
  const folder = dirname(path);
  const isFolder = async (of: string) => (await stat(of).catch(() => undefined))?.isDirectory() ?? false;
  if (await isFolder(path)) throw new UsageError(`Cannot write ${path}: expected the name of a file, found a folder.`);
  if (!(await isFolder(folder))) throw new UsageError(`Cannot write ${path}: no folder ${folder}.`);
  await access(folder, constants.W_OK).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`Cannot write ${path}: the folder ${folder} cannot be written to (${error.code}).`);
  });
}

/** Writes a file that is there whole or not at all. */
export async function writeWhole(
  path: string,
  pieces: Iterable<string | Uint8Array> | AsyncIterable<string | Uint8Array>,
): Promise<void> {
  const part = `${path}.part`;
  try {
    await pipeline(Readable.from(pieces), createWriteStream(part));
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    if (error instanceof CliError) throw error;
    throw new CliError(`Cannot write ${path}: ${(error as Error).message}.`);
  }
}
