import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GgufModel } from '@app/gguf-model';
import type { CalibrationSample } from '@app/inference';
import { continuationTasks, RETRIEVAL_TASKS, retrievalTasks } from '@app/retrieval-tasks';
import { UsageError } from './cli-error.js';

/** Asked of ordinary text; the answer that is watched is the model's own. */
const OPEN_QUESTIONS = [
  'Summarise the text in one paragraph.',
  'What is the main argument of the text?',
  'List the most important points of the text.',
  'What does the author want the reader to believe, and why?',
];
const CONTINUATION_TOKENS = 24;

export interface SampleOptions {
  readonly documents: string;
  readonly samples: number;
  readonly length: number;
  readonly seed: number;
}

/**
 * Tasks to calibrate on, made of ordinary documents: half of them retrieval of planted facts, a quarter continuation of the
 * text, a quarter open questions about it.
 */
export async function calibrationSamples(
  model: GgufModel,
  { documents, samples, length, seed }: SampleOptions,
): Promise<CalibrationSample[]> {
  const texts = await readTexts(documents);
  const encode = (text: string) => model.tokenizer.encode(text);
  const retrieval = Math.ceil(samples / 2);
  const open = Math.floor(samples / 4);
  const perTask = Math.ceil(retrieval / RETRIEVAL_TASKS.length);
  const rows = retrievalTasks(texts, {
    split: 'calibration',
    seed,
    count: perTask,
    length,
    countTokens: (text) => encode(text).length,
  });
  const planted = [...rows]
    // By turns of the kinds, so that a cut list holds all of them.
    .sort((a, b) => a.index - b.index)
    .slice(0, retrieval)
    .map(({ context, question, answer_prefix, outputs }) => ({
      ...chatSample(model, context, question, answer_prefix),
      answer: encode(` ${outputs.join(', ')}`),
    }));
  const pieces = continuationTasks(texts, {
    seed,
    count: samples - retrieval,
    prefixTokens: length,
    answerTokens: CONTINUATION_TOKENS,
    encode,
  });
  const continued = pieces.slice(open).map(({ prefix, answer }) => {
    const all = [...prefix];
    return { prefix: all.slice(0, -1), suffix: all.slice(-1), answer: [...answer] };
  });
  const asked = pieces.slice(0, open).map(({ prefix }, i) => {
    const question = OPEN_QUESTIONS[i % OPEN_QUESTIONS.length] as string;
    return { ...chatSample(model, model.tokenizer.decode([...prefix]), question, ''), answer: [] };
  });
  return [...planted, ...asked, ...continued];
}

/** Document and question as one message: what the prompts with and without the question begin with is the prefix. */
function chatSample(model: GgufModel, document: string, question: string, answerPrefix: string) {
  const prompt = (content: string) =>
    model.chatTemplate.encodeChat([{ role: 'user', content }], { addGenerationPrompt: true });
  const whole = prompt(`${document}\n${question}`);
  const without = prompt(`${document}\n`);
  let shared = 0;
  while (shared < whole.length - 1 && whole[shared] === without[shared]) shared++;
  return { prefix: whole.slice(0, shared), suffix: [...whole.slice(shared), ...model.tokenizer.encode(answerPrefix)] };
}

async function readTexts(folder: string): Promise<string[]> {
  const entries = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    throw new UsageError(`--documents: cannot read the folder ${folder} (${error.code}).`);
  });
  const names = entries.filter((name) => name.endsWith('.txt')).sort();
  if (names.length === 0) throw new UsageError(`--documents: there is no .txt file in ${folder}.`);
  return Promise.all(names.map((name) => readFile(join(folder, name), 'utf8')));
}
