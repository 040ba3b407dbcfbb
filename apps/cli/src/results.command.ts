import { createWriteStream } from 'node:fs';
import { rename, rm } from 'node:fs/promises';
import { extname } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { Command, Option } from 'commander';
import { CliError, UsageError } from './cli-error.js';
import { follow, tellErrors } from './follow.js';
import type { Batch, LonghaulClient } from './longhaul-client.js';
import { columns } from './plain-text.js';
import { resultLines, resultRows } from './result-rows.js';
import { ROW_FORMATS } from './row-formats.js';
import { serviceOf } from './service.js';
import { batchId, ENDED, exitCodeOf } from './watched-batch.js';

const FORMATS = [...Object.keys(ROW_FORMATS), 'openai'];
type Format = keyof typeof ROW_FORMATS | 'openai';

interface ResultsOptions {
  readonly format?: Format;
  readonly output?: string;
  readonly wait?: true;
}

/** `longhaul results`: the answers of a batch that has ended. */
export function resultsCommand(): Command {
  return new Command('results')
    .description('write the answers of a batch that has ended; exits with 4 unless every item is answered')
    .argument('[batch]', 'id of the batch (default: the newest)')
    .option('-o, --output <file>', 'write there, by its name as JSONL, JSON, CSV or text (default: stdout)')
    .addOption(
      new Option(
        '-f, --format <format>',
        "default: text on a terminal, else jsonl; openai: the service's own lines",
      ).choices(FORMATS),
    )
    .option('--wait', 'wait until the batch has ended')
    .action(results);
}

async function results(given: string | undefined, options: ResultsOptions, command: Command): Promise<void> {
  const service = serviceOf(command);
  const { client, json } = service;
  const format = options.format ?? (json ? 'json' : formatFor(options.output));
  const id = await batchId(client, given);
  const batch = options.wait ? await follow(service, id, process.stderr) : await client.batch(id);
  if (!ENDED.includes(batch.status)) {
    const { total, completed, failed } = batch.request_counts;
    throw new CliError(
      `Batch ${id} has not ended: ${batch.status}, ${completed + failed} of ${total} items. ` +
        `Wait for it with longhaul watch ${id}, or add --wait.`,
    );
  }
  const pieces = piecesOf(client, batch, format, options.output === undefined);
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
  stdout: boolean,
): AsyncGenerator<string> {
  if (format !== 'openai') yield* ROW_FORMATS[format](resultRows(client, batch), stdout ? columns() : 100);
  else for await (const line of resultLines(client, batch)) yield `${line}\n`;
}

/** Waits for whoever reads, so that results never pile up in memory. */
const print = (piece: string): Promise<void> =>
  new Promise((resolve) => {
    process.stdout.write(piece, () => resolve());
  });

/** The file is there whole or not at all. */
async function writeWhole(path: string, pieces: AsyncIterable<string>): Promise<void> {
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
