import { Command } from 'commander';
import { CliError, EXIT } from './cli-error.js';
import { LONGHAUL } from './command-name.js';
import { type AnswerLine, type DocumentUsage, usageByDocument } from './document-usage.js';
import { jsonLines } from './json-lines.js';
import type { ResultRow } from './longhaul-client.js';
import { oneLine, table } from './plain-text.js';
import { printJson, serviceOf } from './service.js';
import { batchId } from './watched-batch.js';

/** `longhaul usage`: what a batch read, what it found held, and how small the caches were. */
export function usageCommand(): Command {
  return new Command('usage')
    .description('show tokens and KV cache of each document of a batch that has ended')
    .argument('[batch]', 'id of the batch (default: the newest)')
    .action(async (given: string | undefined, _options, command) => {
      const { client, json } = serviceOf(command);
      const batch = await client.batch(await batchId(client, given));
      if (batch.output_file_id === null) {
        const why = `${batch.id} is ${batch.status.replace('_', ' ')} and has no output file`;
        throw new CliError(`${why} (${LONGHAUL} watch ${batch.id}).`, EXIT.failed, 'no_output_file');
      }
      const usage = await usageByDocument(
        jsonLines<ResultRow>(client.results(batch.id, 'jsonl')),
        jsonLines<AnswerLine>(client.content(batch.output_file_id)),
      );
      if (json) printJson(usage);
      else console.log(usageTable(usage));
    });
}

const RIGHT = ['items', 'tokens', 'kept', 'cache', 'prefill'];

function usageTable(usage: readonly DocumentUsage[]): string {
  const rows = usage.map(({ document, items, prefill_seconds: seconds, kv_cache: cache }) => [
    String(items),
    ...(cache
      ? [
          cache.tokens.toLocaleString('en-US'),
          cache.policy,
          `${((100 * cache.entries) / cache.tokens).toFixed(1)} %`,
          `${(cache.bytes / 1e6).toFixed(1)} MB`,
          seconds > 0 ? `${seconds.toFixed(1)} s` : 'held',
        ]
      : ['-', '-', '-', '-', '-']),
    oneLine(document ?? '-'),
  ]);
  return table(['items', 'tokens', 'policy', 'kept', 'cache', 'prefill', 'document'], rows, RIGHT);
}
