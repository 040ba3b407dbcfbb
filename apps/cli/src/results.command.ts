import { extname } from 'node:path';
import { Command, Option } from 'commander';
import { UsageError } from './cli-error.js';
import { LONGHAUL } from './command-name.js';
import { follow, tellErrors } from './follow.js';
import type { Batch, LonghaulClient } from './longhaul-client.js';
import { columns } from './plain-text.js';
import { resultText } from './result-text.js';
import { serviceOf } from './service.js';
import { batchId, ENDED, exitCodeOf } from './watched-batch.js';
import { assertWritable, writeWhole } from './whole-file.js';

const FORMATS = ['text', 'jsonl', 'json', 'csv', 'openai'] as const;
type Format = (typeof FORMATS)[number];

interface ResultsOptions {
  readonly format?: Format;
  readonly output?: string;
  readonly wait?: true;
}

/** `longhaul results`: the answers of a batch, those that are there. */
export function resultsCommand(): Command {
  return new Command('results')
    .description('write the answers of a batch, as far as it is; exits with 4 unless every item is answered')
    .argument('[batch]', 'id of the batch (default: the newest)')
    .option('-o, --output <file>', 'write there, by its name as JSONL, JSON, CSV or text (default: stdout)')
    .addOption(
      new Option(
        '-f, --format <format>',
        'default: text on a terminal, else jsonl; openai: lines of its output and error file',
      ).choices(FORMATS),
    )
    .option('--wait', 'wait until the batch has ended')
    .action(results);
}

async function results(given: string | undefined, options: ResultsOptions, command: Command): Promise<void> {
  const service = serviceOf(command);
  const { client, json } = service;
  const format = options.format ?? (json ? 'json' : formatFor(options.output));
  if (options.output !== undefined) await assertWritable(options.output);
  const id = await batchId(client, given);
  const batch = options.wait ? await follow(service, id, process.stderr) : await client.batch(id);
  if (!ENDED.includes(batch.status) && !json) {
    const { total, completed, failed } = batch.request_counts;
    console.error(`The batch goes on: ${completed + failed} of ${total} items are there (${LONGHAUL} watch ${id}).`);
  }
  const pieces = piecesOf(client, batch, format, options.output === undefined ? columns() : 100);
  if (options.output === undefined) for await (const piece of pieces) await print(piece);
  else await writeWhole(options.output, pieces);
  if (!json) tellErrors(batch);
  process.exitCode = exitCodeOf(batch);
}

function formatFor(file: string | undefined): Format {
  if (file === undefined) return process.stdout.isTTY ? 'text' : 'jsonl';
  const extension = extname(file).slice(1).toLowerCase();
  if (extension === 'txt') return 'text';
  if (extension === 'jsonl' || extension === 'json' || extension === 'csv') return extension;
  throw new UsageError(`${file}: its name tells no format (.jsonl, .json, .csv, .txt); give --format.`);
}

async function* piecesOf(
  client: LonghaulClient,
  batch: Batch,
  format: Format,
  width: number,
): AsyncGenerator<string | Uint8Array> {
  if (format === 'text') yield* resultText(client.results(batch.id, 'jsonl'), width);
  else if (format !== 'openai') yield* client.results(batch.id, format);
  else for (const id of [batch.output_file_id, batch.error_file_id]) if (id !== null) yield* client.content(id);
}

/** Waits for whoever reads, so that results never pile up in memory. */
const print = (piece: string | Uint8Array): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(piece, () => resolve());
  });
