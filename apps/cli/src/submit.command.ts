import { stat } from 'node:fs/promises';
import { basename, extname } from 'node:path';
import { Command, InvalidArgumentError, Option } from 'commander';
import { endpointOf } from './batch-endpoint.js';
import { UsageError } from './cli-error.js';
import { LONGHAUL } from './command-name.js';
import { type Document, fileToUpload, findDocuments, isDocumentName, linesOfFile } from './documents.js';
import { follow, tellEnd } from './follow.js';
import type { Batch, LonghaulClient } from './longhaul-client.js';
import { printJson, type Service, serviceOf, tellNoWorker } from './service.js';
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
  readonly truncation?: string;
  readonly compression?: { policy: string; budget?: number };
  readonly reusable?: true;
  readonly window: string;
  readonly name?: string;
  readonly watch?: true;
}

const EXAMPLES = `
Examples:
  ${LONGHAUL} submit contracts/ --questions questions.txt --watch
  ${LONGHAUL} submit lease.pdf annex.docx --question 'Who is the tenant?'
  ${LONGHAUL} submit batch.jsonl`;

/** Options that a batch file's lines have for themselves. */
const OF_QUESTIONS = ['model', 'maxTokens', 'temperature', 'system', 'truncation'] as const;

/** `longhaul submit`: makes a batch of a JSONL file, or of questions and documents. */
export function submitCommand(): Command {
  return new Command('submit')
    .description('start a batch: a JSONL file of requests, or every question on every document; prints its id')
    .argument(
      '[inputs...]',
      "documents, folders of them or ids of uploaded files; or a batch file in OpenAI's JSONL form",
    )
    .option('-d, --document <path>', 'one more document, as an argument is; repeat', each)
    .option('-q, --question <text>', 'a question; repeat', each)
    .option('--questions <file>', 'file of questions, one a line')
    .option('--model <id>', 'model to ask (default: the one that is served)')
    .option('--max-tokens <n>', 'longest answer', wholeNumber(1), 256)
    .option('--temperature <t>', '0 for the likeliest words, up to 2 for surprising ones', temperature, 0)
    .option('--system <text>', 'what the model is told before each document')
    .addOption(
      new Option(
        '--truncation <mode>',
        "a document longer than the model's context: an error, without its middle, or part by part",
      ).choices(['error', 'middle', 'map_reduce']),
    )
    .option(
      '--compression <policy:budget>',
      'what is kept of each document, such as calibrated-merge:0.35',
      compression,
    )
    .option('--reusable', 'compress without regard to the questions, so that batches with other questions find it held')
    .option('--window <time>', 'the batch expires after it, such as 90s, 15m, 24h or 7d', '24h')
    .option('--name <text>', 'what longhaul ls calls it (default: the name of its input)')
    .option('--watch', 'show how it goes until it has ended, as longhaul watch does')
    .addHelpText('after', EXAMPLES)
    .action(submit);
}

async function submit(inputs: readonly string[], options: SubmitOptions, command: Command): Promise<void> {
  const service = serviceOf(command);
  const given = [...inputs, ...(options.document ?? [])];
  const asks = options.question !== undefined || options.questions !== undefined;
  if (given.length === 0)
    throw new UsageError('Nothing to submit: name documents, a folder of them, or a batch file (JSONL).');
  let batch: Batch;
  if (!asks && given.length === 1 && inputs.length === 1 && (await isBatchFile(inputs[0]!))) {
    const lost = OF_QUESTIONS.find((name) => command.getOptionValueSource(name) === 'cli');
    if (lost) throw new UsageError(`--${kebab(lost)} is for questions: each line of a batch file has its own.`);
    batch = await submitFile(service.client, inputs[0]!, options);
  } else {
    const batchFile = given.find((path) => extname(path).toLowerCase() === '.jsonl');
    if (batchFile) throw new UsageError(`${batchFile} is a batch file: it has its own questions and documents.`);
    if (!asks) throw new UsageError('No questions: give --question, or --questions with a file of them.');
    const { documents, passedOver } = await findDocuments(given, options.questions);
    const questions = await questionsOf(options);
    tellPassedOver(passedOver);
    batch = await submitQuestions(service, documents, questions, options);
  }
  if (!service.json) console.log(batch.id);
  else if (!options.watch) printJson(batch);
  if (!options.watch) {
    if ((await service.client.workers()) === 0) tellNoWorker(service.json);
    if (process.stdout.isTTY && process.stderr.isTTY && !service.json)
      console.error(`${LONGHAUL} watch shows how it goes, ${LONGHAUL} results its answers.`);
    return;
  }
  const ended = await follow(service, batch.id);
  if (!service.json) tellEnd(ended);
  process.exitCode = exitCodeOf(ended);
}

/** Without questions a file is a batch file, whatever its name, unless that says that it is a document. */
async function isBatchFile(path: string): Promise<boolean> {
  return !isDocumentName(path) && (await stat(path).catch(() => undefined))?.isDirectory() !== true;
}

/** Files that nobody asked to leave out. */
function tellPassedOver(paths: readonly string[]): void {
  if (paths.length === 0) return;
  const more = paths.length > 3 ? ` and ${paths.length - 3} more` : '';
  console.error(`Passed over, no documents by their names: ${paths.slice(0, 3).join(', ')}${more}`);
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
  const { model, system, maxTokens, temperature, truncation } = options;
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
      options: { max_completion_tokens: maxTokens, temperature, ...(truncation !== undefined && { truncation }) },
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

const batchOptions = ({ window, compression, reusable, name }: SubmitOptions, input: string): object => ({
  completion_window: window,
  metadata: { name: (name ?? input).slice(0, 512) },
  ...((compression || reusable) && { compression: { ...compression, ...(reusable && { questions: 'unseen' }) } }),
});

const kebab = (name: string): string => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

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
