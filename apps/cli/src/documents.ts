import { isUtf8 } from 'node:buffer';
import { constants, openAsBlob } from 'node:fs';
import { access, readdir, readFile, stat } from 'node:fs/promises';
import { basename, extname, join, relative, resolve } from 'node:path';
import { UsageError } from './cli-error.js';

/** Kinds that the service reads; in a folder, anything else is passed over. */
const EXTENSIONS = ['.txt', '.md', '.markdown', '.html', '.htm', '.pdf', '.docx'];
/** An id as the service gives them. */
const FILE_ID = /^file-[\w-]+$/;
/** What programs leave beside documents: hidden files, macOS's `._lease.pdf`, Word's `~$lease.docx`. */
const NO_DOCUMENT = /^(\.|~\$)/;

/** A document to ask about: one on this machine, or one that was uploaded before. */
export type Document =
  | { readonly name: string; readonly path: string; readonly fileId?: never }
  | { readonly name: string; readonly fileId: string; readonly path?: never };

/** The documents that were found, and what lay beside them that the service cannot read. */
export interface FoundDocuments {
  readonly documents: readonly Document[];
  /** Paths of files that were passed over; hidden ones are not among them. */
  readonly passedOver: readonly string[];
}

/** Whether a file of that name is a document rather than a batch file. */
export const isDocumentName = (path: string): boolean => EXTENSIONS.includes(extname(path).toLowerCase());

/**
 * The documents behind paths of files, paths of folders (with all below them, in order of name) and ids of uploaded files.
 * Their names are those of the files, or their paths where two files share one.
 * @param except file that is no document wherever it lies: the questions
 * @throws UsageError where there is nothing at a path, or no document in a folder
 */
export async function findDocuments(given: readonly string[], except?: string): Promise<FoundDocuments> {
  const found = new Map<string, Document>();
  const passedOver: string[] = [];
  for (const text of given) {
    const info = await stat(text).catch(() => undefined);
    if (!info && FILE_ID.test(text)) found.set(text, { name: text, fileId: text });
    else if (!info) throw new UsageError(`There is no file or folder ${text}.`);
    else if (!info.isDirectory()) found.set(join(text), { name: basename(text), path: join(text) });
    else {
      const paths = (await filesIn(text)).filter((path) => except === undefined || resolve(path) !== resolve(except));
      const documents = paths.filter(isDocumentName);
      if (documents.length === 0) {
        throw new UsageError(`There is no document in ${text}: expected files named ${EXTENSIONS.join(', ')}.`);
      }
      for (const path of documents) found.set(path, { name: relative(text, path), path });
      passedOver.push(...paths.filter((path) => !isDocumentName(path)));
    }
  }
  const documents = [...found.values()];
  const unique = new Set(documents.map(({ name }) => name)).size === documents.length;
  return {
    documents: unique ? documents : documents.map((one) => (one.path === undefined ? one : { ...one, name: one.path })),
    passedOver,
  };
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  return entries
    .filter((entry) => entry.isFile() && !NO_DOCUMENT.test(entry.name))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * A file's name and content, read as it is sent.
 * @throws UsageError where it cannot be read
 */
export async function fileToUpload(path: string): Promise<{ name: string; content: Blob }> {
  await assertReadable(path);
  return { name: basename(path), content: await openAsBlob(path) };
}

/**
 * A text file's lines that are not empty, without the space around them.
 * @throws UsageError where it cannot be read or is not UTF-8
 */
export async function linesOfFile(path: string): Promise<string[]> {
  await assertReadable(path);
  const bytes = await readFile(path);
  if (!isUtf8(bytes)) throw new UsageError(`${path} is not UTF-8 text. Save it as UTF-8.`);
  const text = new TextDecoder().decode(bytes); // without a byte order mark
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

async function assertReadable(path: string): Promise<void> {
  try {
    await access(path, constants.R_OK);
    if ((await stat(path)).isDirectory()) throw new UsageError(`${path} is a folder; expected a file.`);
  } catch (error) {
    if (error instanceof UsageError) throw error;
    const { code } = error as NodeJS.ErrnoException;
    throw new UsageError(code === 'ENOENT' ? `There is no file ${path}.` : `Cannot read ${path} (${code}).`);
  }
}
