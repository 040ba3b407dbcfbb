import { Readable } from 'node:stream';
import type { BlobStore, StoredBlob } from '@app/storage';
import { type ItemResult, isSuccess } from './item-result.js';
import type { ResultStore } from './result-store.js';

/** The two files a finished batch leaves; undefined where there is no line of that kind. */
export interface OutputFiles {
  readonly output: StoredBlob | undefined;
  readonly errors: StoredBlob | undefined;
}

/** Results have gone from Redis that the counters know of: no output file may be written from the rest. */
export class MissingResultsError extends Error {
  override readonly name = 'MissingResultsError';

  constructor(batchId: string, expected: number, found: number) {
    super(
      `Batch ${batchId} has ${expected} recorded results of one kind but Redis holds ${found}. ` +
        'Were keys evicted or deleted? Redis needs maxmemory-policy noeviction and appendonly yes.',
    );
  }
}

/**
 * Writes a batch's gathered results as JSONL, in the order of the input lines: answers with status 200 into one blob,
 * all others into another. Streamed: neither file is ever in memory as a whole. Writing again replaces the same blobs.
 */
export async function writeOutputFiles(
  results: ResultStore,
  blobs: BlobStore,
  batchId: string,
  keys: { readonly output: string; readonly errors: string },
): Promise<OutputFiles> {
  const { completed, failed } = await results.counts(batchId);
  const write = async (key: string, kind: (result: ItemResult) => boolean, count: number) =>
    count === 0 ? undefined : blobs.put(key, Readable.from(lines(results, batchId, kind, count)));
  return {
    output: await write(keys.output, isSuccess, completed),
    errors: await write(keys.errors, (result) => !isSuccess(result), failed),
  };
}

/** The lines of one kind; throws at the end where they are not `expected` many, so that the blob is not stored. */
async function* lines(
  results: ResultStore,
  batchId: string,
  kind: (result: ItemResult) => boolean,
  expected: number,
): AsyncGenerator<string> {
  let found = 0;
  for await (const { result } of results.all(batchId)) {
    if (!kind(result)) continue;
    found++;
    yield `${JSON.stringify(result)}\n`;
  }
  if (found !== expected) throw new MissingResultsError(batchId, expected, found);
}
