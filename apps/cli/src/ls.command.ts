import { Command } from 'commander';
import type { Batch, StoredFile } from './longhaul-client.js';
import { oneLine, shortTime, table } from './plain-text.js';
import { printJson, serviceOf } from './service.js';
import { wholeNumber } from './whole-number.js';

/** `longhaul ls`: the newest batches, or files. */
export function lsCommand(): Command {
  return new Command('ls')
    .description('list batches, or files, newest first')
    .option('--files', 'files instead of batches')
    .option('-n, --limit <n>', 'how many', wholeNumber(1, 100), 20)
    .action(async (options: { files?: true; limit: number }, command) => {
      const { client, json } = serviceOf(command);
      const [page, text] = options.files
        ? await client.files(options.limit).then((files) => [files, fileTable(files.data)] as const)
        : await client.batches(options.limit).then((batches) => [batches, batchTable(batches.data)] as const);
      if (json) printJson(page.data);
      else console.log(text);
      if (page.has_more && !json) console.error('There are more: see --limit.');
    });
}

function batchTable(batches: readonly Batch[]): string {
  if (batches.length === 0) return 'no batches yet';
  const rows = batches.map(({ id, status, request_counts: counts, created_at, metadata }) => [
    id,
    status.replace('_', ' '),
    `${counts.completed + counts.failed}/${counts.total}`,
    String(counts.failed),
    shortTime(created_at),
    oneLine(metadata?.['name'] ?? ''),
  ]);
  return table(['batch', 'status', 'done', 'failed', 'created', 'name'], rows, ['done', 'failed']);
}

function fileTable(files: readonly StoredFile[]): string {
  if (files.length === 0) return 'no files yet';
  const rows = files.map(({ id, purpose, bytes, created_at, filename }) => [
    id,
    purpose,
    bytes.toLocaleString('en-US'),
    shortTime(created_at),
    oneLine(filename),
  ]);
  return table(['file', 'purpose', 'bytes', 'created', 'name'], rows, ['bytes']);
}
