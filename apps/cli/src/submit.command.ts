import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { Command, InvalidArgumentError } from 'commander';
import { endpointOf } from './batch-endpoint.js';
import { UsageError } from './cli-error.js';
import { type Document, fileToUpload, findDocuments, linesOfFile } from './documents.js';
import { follow, tellErrors } from './follow.js';
import type { Batch, LonghaulClient } from './longhaul-client.js';
import { printJson, type Service, serviceOf } from './service.js';
import { Uploads } from './uploads.js';
import { exitCodeOf } from './watched-batch.js';
import { wholeNumber } from './whole-number.js';

interface SubmitOptions {
  readonly document?: readonly string[];
  readonly question?: readonly string[];
  readonly questions?: string;
  readonly model?: string;
  readonly maxTokens: number;
  readonly temperature: number;
  readonly system?: string;
  readonly compression?: { policy: string; budget?: number };
  readonly window: string;
  readonly name?: string;
  readonly watch?: true;
}

const EXAMPLES = `
Examples:
  longhaul submit batch.jsonl
  longhaul submit --document lease.pdf --document annex.docx --question 'Who is the tenant?'
  longhaul submit contracts/ --questions questions.txt --watch`;

/** `longhaul submit`: makes a batch of a JSONL file, or of questions and documents. */
export function submitCommand(): Command {
  return new Command('submit')
    .description('start a batch: a JSONL file of requests, or every question on every document; prints its id')
    .argument('[input]', "a batch file in OpenAI's JSONL form, or a folder of documents")
    .option('-d, --document <path>', 'a document, a folder of them, or the id of an uploaded file; repeat', each)
    .option('-q, --question <text>', 'a question; repeat', each)
    .option('--questions <file>', 'file of questions, one a line')
    .option('--model <id>', 'model to ask (default: the one that is served)')
    .option('--max-tokens <n>', 'longest answer', wholeNumber(1), 256)
    .option('--temperature <t>', '0 for the likeliest words, up to 2 for surprising ones', temperature, 0)
    .option('--system <text>', 'what the model is told before each document')
    .option(
      '--compression <policy:budget>',
      'what is kept of each document, such as calibrated-merge:0.35',
      compression,
    )
    .option('--window <time>', 'the batch expires after it, such as 90s, 15m, 24h or 7d', '24h')
    .option('--name <text>', 'what longhaul ls calls it (default: the name of its input)')
    .option('--watch', 'show how it goes until it has ended, as longhaul watch does')
    .addHelpText('after', EXAMPLES)
    .action(submit);
}

async function submit(input: string | undefined, options: SubmitOptions, command: Command): Promise<void> {
  const service = serviceOf(command);
  const folder = input !== undefined && (await stat(input).catch(() => undefined))?.isDirectory() === true;
  const asks = options.question !== undefined || options.questions !== undefined;
  const given = [...(folder ? [input] : []), ...(options.document ?? [])];
  let batch: Batch;
  if (input !== undefined && !folder) {
    if (asks || given.length > 0)
      throw new UsageError(`${input} is a batch file: it has its own questions and documents.`);
    batch = await submitFile(service.client, input, options);
  } else {
    if (given.length === 0) throw new UsageError('Nothing to submit: name a JSONL file, a folder or a --document.');
    if (!asks) throw new UsageError('No questions: give --question, or --questions with a file of them.');
    batch = await submitQuestions(service, await findDocuments(given), await questionsOf(options), options);
  }
  if (!service.json) console.log(batch.id);
  else if (!options.watch) printJson(batch);
  if (!options.watch) return;
  const ended = await follow(service, batch.id);
  if (!service.json) tellErrors(ended);
  process.exitCode = exitCodeOf(ended);
}

async function submitFile(client: LonghaulClient, path: string, options: SubmitOptions): Promise<Batch> {
  const { name, content } = await fileToUpload(path);
  return new Uploads(client).keepIf(async (uploads) => {
    const input = await uploads.add(name, content, 'batch');
    return client.createBatch(input.id, await endpointOf(path), batchOptions(options, name));
  });
}

async function submitQuestions(
  { client, json }: Service,
  documents: readonly Document[],
  questions: readonly string[],
  options: SubmitOptions,
): Promise<Batch> {
  const more = documents.length > 1 ? ` and ${documents.length - 1} more` : '';
  const { model, system, maxTokens, temperature } = options;
  return new Uploads(client).keepIf(async (uploads) => {
    const uploaded: { id: string; file_id: string }[] = [];
    for (const [i, { name, path, fileId }] of documents.entries()) {
      const upload = path === undefined ? undefined : await fileToUpload(path);
      const file_id = upload ? (await uploads.add(upload.name, upload.content, 'user_data')).id : fileId!;
      uploaded.push({ id: name, file_id });
      if (!json && process.stderr.isTTY) process.stderr.write(`\r${i + 1}/${documents.length} documents\u001b[K`);
    }
    if (!json && process.stderr.isTTY) process.stderr.write('\r\u001b[K');
    return client.createJob({
      documents: uploaded,
      questions,
      ...(model !== undefined && { model }),
      ...(system !== undefined && { system }),
      options: { max_completion_tokens: maxTokens, temperature },
      ...batchOptions(options, `${basename(documents[0]!.name)}${more}`),
    });
  });
}

async function questionsOf({ question = [], questions: file }: SubmitOptions): Promise<string[]> {
  const lines = file === undefined ? [] : await linesOfFile(file);
  const questions = [...question.map((text) => text.trim()).filter((text) => text !== ''), ...lines];
  if (questions.length === 0)
    throw new UsageError(file ? `There is no question in ${file}.` : 'The question is empty.');
  return questions;
}

const batchOptions = ({ window, compression, name }: SubmitOptions, input: string): object => ({
  completion_window: window,
  metadata: { name: (name ?? input).slice(0, 512) },
  ...(compression && { compression }),
});

function each(text: string, before: readonly string[] = []): readonly string[] {
  return [...before, text];
}

function temperature(text: string): number {
  const value = Number(text);
  if (text.trim() !== '' && value >= 0 && value <= 2) return value;
  throw new InvalidArgumentError('Expected a number from 0 to 2.');
}

function compression(text: string): { policy: string; budget?: number } {
  const [policy, budget, ...rest] = text.split(':');
  const share = Number(budget);
  if (!policy || rest.length > 0 || (budget !== undefined && !(share > 0 && share <= 1))) {
    throw new InvalidArgumentError('Expected a policy and its budget, such as calibrated-merge:0.35, or full.');
  }
  return { policy, ...(budget !== undefined && { budget: share }) };
}
