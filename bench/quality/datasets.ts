import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { jsonlFiles, type PromptTables, promptTables } from './dataset-files.js';
import { longbenchScoring, rulerMetric, type Scoring } from './metrics.js';

/** Data families, reported apart. */
export const FAMILIES = ['retrieval', 'longbench', 'multihop'] as const;
export type Family = (typeof FAMILIES)[number];

/** One question on one document. */
export interface QualitySample extends Scoring {
  readonly family: Family;
  /** Name of its file: `niah_single_1`, `hotpotqa_e`. */
  readonly dataset: string;
  /** Name and hash of the contents: the same wherever the file lies. */
  readonly id: string;
  /** Beginning of the user's message, up to the end of the document. */
  readonly documentText: string;
  /** What follows the document in the user's message. */
  readonly questionText: string;
  /** Beginning of the answer, given to the model; '' for none. */
  readonly answerPrefix: string;
  /** Tokens that the benchmark allows the answer; undefined where it does not say. */
  readonly answerTokens: number | undefined;
}

export interface LoadedSamples {
  /** In the order of folders, files and lines. */
  readonly samples: readonly QualitySample[];
  /** Files and lines without use here, each with the reason. */
  readonly skipped: readonly { readonly where: string; readonly reason: string }[];
}

/** A data folder that does not hold what its files promise. */
export class DatasetError extends Error {
  override readonly name = 'DatasetError';
}

/**
 * All samples of `folders`, subfolders included: `*.jsonl` files in RULER's format (`context, question, answer_prefix,
 * outputs`) or LongBench's (`input, context, answers`, with the templates of a dataset2prompt.json in the file's folder,
 * in another of `folders`, or in a folder beside it). A sample that occurs twice is taken once.
 * @throws DatasetError for lines that are no JSON objects and for LongBench files without templates
 */
export async function loadSamples(folders: readonly string[]): Promise<LoadedSamples> {
  const samples = new Map<string, QualitySample>();
  const skipped: { where: string; reason: string }[] = [];
  for (const folder of folders) {
    for (const file of await jsonlFiles(folder)) {
      const rows = await readRows(file);
      const tables = rows.some((row) => !isRuler(row)) ? await promptTables(file, folders) : undefined;
      rows.forEach((row, line) => {
        const sample = toSample(row, file, tables);
        if (typeof sample === 'string') skipped.push({ where: `${file}:${line + 1}`, reason: sample });
        else if (samples.has(sample.id))
          skipped.push({ where: `${file}:${line + 1}`, reason: 'the same sample again' });
        else samples.set(sample.id, sample);
      });
    }
  }
  return { samples: [...samples.values()], skipped };
}

type Row = Readonly<Record<string, unknown>>;

async function readRows(file: string): Promise<Row[]> {
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.flatMap((line, i) => {
    if (line.trim() === '') return [];
    try {
      const row: unknown = JSON.parse(line);
      if (typeof row === 'object' && row !== null) return [row as Row];
    } catch {
      // reported below, as every line that is no object
    }
    throw new DatasetError(
      `${file}:${i + 1}: one JSON object a line is expected. Correct the line or remove the file.`,
    );
  });
}

const isRuler = (row: Row): boolean => Array.isArray(row['outputs']);

/** The sample in `row`, or the reason why there is none. */
function toSample(row: Row, file: string, tables: PromptTables | undefined): QualitySample | string {
  const context = row['context'];
  if (typeof context !== 'string') return 'no context';
  const dataset = basename(file, '.jsonl');
  return isRuler(row) ? rulerSample(row, context, dataset) : longbenchSample(row, context, dataset, file, tables);
}

function rulerSample(row: Row, context: string, dataset: string): QualitySample | string {
  const { question, outputs } = { question: row['question'], outputs: texts(row['outputs']) };
  if (typeof question !== 'string') return 'no question';
  if (outputs.length === 0) return 'no outputs';
  const task = typeof row['task'] === 'string' ? row['task'] : dataset;
  return withId({
    family: 'retrieval',
    dataset,
    documentText: context,
    questionText: `\n${question}`,
    // without its space: it follows the template's line break
    answerPrefix: typeof row['answer_prefix'] === 'string' ? row['answer_prefix'].trim() : '',
    answers: outputs,
    metric: rulerMetric(task),
    firstLine: false,
    classes: [],
    answerTokens: typeof row['tokens_to_generate'] === 'number' ? row['tokens_to_generate'] : undefined,
  });
}

function longbenchSample(
  row: Row,
  context: string,
  dataset: string,
  file: string,
  tables: PromptTables | undefined,
): QualitySample | string {
  const answers = texts(row['answers']);
  if (answers.length === 0) return 'no answers';
  const set = longbenchSet(dataset);
  const scoring = longbenchScoring(set);
  if (scoring === undefined) return `no metric for ${set}`;
  const template = tables?.prompts[set];
  if (template === undefined) {
    throw new DatasetError(
      `${file}: a template for ${set} is expected in dataset2prompt.json, found none. Put LongBench's file into that folder ` +
        'or name the folder that holds it as well.',
    );
  }
  const input = typeof row['input'] === 'string' ? row['input'] : '';
  const cut = template.indexOf('{context}');
  const fill = (text: string): string => text.split('{input}').join(input);
  return withId({
    family: dataset.endsWith(DISTRACTOR) ? 'multihop' : 'longbench',
    dataset,
    documentText: fill(template.slice(0, cut)) + context,
    questionText: fill(template.slice(cut + '{context}'.length)),
    answerPrefix: '',
    answers,
    ...scoring,
    classes: texts(row['all_classes']),
    answerTokens: tables?.answerTokens[set],
  });
}

const DISTRACTOR = '_distractor';

/** The LongBench set whose template and metric `dataset` shares: `hotpotqa_e` and `hotpotqa_distractor` are `hotpotqa`. */
export function longbenchSet(dataset: string): string {
  const base = dataset.replace(DISTRACTOR, '').replace(/_e$/, '');
  return base === '2wikimultihopqa' ? '2wikimqa' : base;
}

function texts(value: unknown): string[] {
  if (typeof value === 'string') return [value];
  return Array.isArray(value) ? value.filter((item): item is string => typeof item === 'string') : [];
}

function withId(sample: Omit<QualitySample, 'id'>): QualitySample {
  const { documentText, questionText, answerPrefix, answers } = sample;
  const contents = JSON.stringify([documentText, questionText, answerPrefix, answers]);
  return { ...sample, id: `${sample.dataset}-${createHash('sha256').update(contents).digest('hex').slice(0, 16)}` };
}
