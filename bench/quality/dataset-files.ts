import { readdir, readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** What LongBench says of its sets, by name. */
export interface PromptTables {
  /** Templates with `{context}` and, in most, `{input}` (dataset2prompt.json). */
  readonly prompts: Readonly<Record<string, string>>;
  /** Tokens allowed for an answer (dataset2maxlen.json). */
  readonly answerTokens: Readonly<Record<string, number>>;
}

/** All `*.jsonl` files under `folder`, sorted by path. Throws as `readdir` does where there is no such folder. */
export async function jsonlFiles(folder: string): Promise<string[]> {
  const names = await readdir(folder, { recursive: true });
  return names
    .filter((name) => name.endsWith('.jsonl'))
    .sort()
    .map((name) => join(folder, name));
}

/** The tables nearest to `file`: in its folder, in one of `folders`, in a folder beside it; undefined where there are none. */
export async function promptTables(file: string, folders: readonly string[]): Promise<PromptTables | undefined> {
  const own = dirname(file);
  for (const folder of [own, ...folders, ...(await siblings(own))]) {
    const prompts = await readTable<string>(join(folder, 'dataset2prompt.json'));
    if (prompts === undefined) continue;
    return { prompts, answerTokens: (await readTable<number>(join(folder, 'dataset2maxlen.json'))) ?? {} };
  }
  return undefined;
}

async function siblings(folder: string): Promise<string[]> {
  const parent = dirname(folder);
  const entries = await readdir(parent, { withFileTypes: true });
  return entries
    .filter((entry) => entry.isDirectory())
    .map((entry) => join(parent, entry.name))
    .sort();
}

async function readTable<T>(path: string): Promise<Readonly<Record<string, T>> | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as Record<string, T>;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined;
    throw error;
  }
}
