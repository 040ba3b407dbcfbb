import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  continuationTasks,
  RETRIEVAL_TASKS,
  type RetrievalOptions,
  type RetrievalRow,
  retrievalTasks,
  SEED_RANGES,
  SeedOutOfRangeError,
  type Split,
  seedOf,
  splitOf,
  TooLittleTextError,
  UnfitLengthError,
} from './index.js';
import { sentences } from './sentences.js';

const ROOT = join(import.meta.dirname, '../../..');
const FOLDER = join(ROOT, 'examples/documents');
const documents = readdirSync(FOLDER)
  .sort()
  .map((name) => readFileSync(join(FOLDER, name), 'utf8'));
/** A token is up to four letters of a word with the space before it, or any other character, as real ones are on average. */
const pieces = (text: string): string[] => text.match(/ ?\p{L}{1,4}| ?[^\p{L}]/gu) ?? [];
const vocabulary = [
  ...new Set(documents.flatMap(sentences).flatMap((sentence) => [...pieces(sentence), ...pieces(` ${sentence}`)])),
];
const ids = new Map(vocabulary.map((piece, id) => [piece, id]));
const encode = (text: string): number[] => pieces(text).map((piece) => ids.get(piece) ?? -1);
const decode = (tokens: readonly number[]): string => tokens.map((id) => vocabulary[id]).join('');

const generate = (options: Partial<RetrievalOptions> = {}): RetrievalRow[] => [
  ...retrievalTasks(documents, {
    split: 'evaluation',
    seed: 1,
    count: 2,
    length: 512,
    countTokens: (text) => encode(text).length,
    ...options,
  }),
];

const FACTS = /One of the ([a-z ]+)s for ([a-z ]+) is: (\d+)\. ?/g;
const SETTINGS = /The variable ([A-Z]+) is set to (?:the variable )?([A-Z]+|\d+)\. ?/g;

/** Keys and numbers, or variables and the number, that a row plants. */
function planted({ context }: RetrievalRow): string[] {
  const facts = [...context.matchAll(FACTS)].flatMap(([, , key, number]) => [key!, number!]);
  const settings = [...context.matchAll(SETTINGS)].flatMap(([, variable, source]) => [variable!, source!]);
  return [...facts, ...settings];
}

/** Answers that follow from the context and the question alone, by reading both as a person would. */
function solve({ task, context, question }: RetrievalRow): string[] {
  if (task === 'variable_tracking') {
    const holding = new Set([/\d{6}/.exec(question)![0]]);
    const found: string[] = [];
    for (const [, variable, source] of context.matchAll(SETTINGS)) {
      if (!holding.has(source!)) continue;
      holding.add(variable!);
      found.push(variable!);
    }
    return found;
  }
  const facts = [...context.matchAll(FACTS)];
  return facts.filter(([, kind, key]) => question.includes(kind!) && question.includes(key!)).map((match) => match[3]!);
}

describe('retrieval tasks', () => {
  test.each([512, 1000, 4096, 8192])('land within two hundredths of %i tokens and never above', (length) => {
    for (const row of generate({ length, count: 2 })) {
      const tokens = encode(row.context).length;
      expect(row.length).toBe(tokens);
      expect(tokens).toBeLessThanOrEqual(length);
      expect(tokens).toBeGreaterThanOrEqual(length * 0.98);
    }
  });

  test('can be answered from the context, and only by what was planted', () => {
    const rows = generate({ count: 6 });
    expect(new Set(rows.map((row) => row.task))).toEqual(new Set(RETRIEVAL_TASKS));
    for (const row of rows) {
      expect(solve(row).sort()).toEqual([...row.outputs].sort());
      expect(planted(row)).toHaveLength(
        { single_fact: 2, several_keys: 8, several_values: 8, several_queries: 8, variable_tracking: 10 }[row.task],
      );
      for (const output of row.outputs) expect(documents.some((document) => document.includes(output))).toBe(false);
      expect(row.answer_prefix).toMatch(/^ \S/);
      expect(row.outputs.every((output) => !row.question.includes(output))).toBe(true);
    }
    expect(rows.filter((row) => row.task === 'several_queries').every((row) => row.outputs.length === 4)).toBe(true);
  });

  test('are the prose of the documents around the facts', () => {
    const prose = documents.flatMap(sentences);
    for (const row of generate({ count: 2 })) {
      const rest = row.context.replace(FACTS, '').replace(SETTINGS, '').trim();
      expect(`${prose.join(' ')} ${prose.join(' ')}`).toContain(rest);
    }
  });

  test('plant at all depths', () => {
    const depths = generate({ count: 40, tasks: ['single_fact'] }).map(
      (row) => row.context.indexOf('One of the special') / row.context.length,
    );
    for (const quarter of [0, 0.25, 0.5, 0.75]) {
      expect(depths.some((depth) => depth >= quarter && depth < quarter + 0.25)).toBe(true);
    }
  });

  test('are the same for the same seed, other ones for another, whatever else is asked for', () => {
    const rows = generate();
    expect(generate()).toEqual(rows);
    expect(generate({ count: 3 }).filter((row) => row.index < 2)).toEqual(rows);
    expect(generate({ tasks: ['several_values'] })).toEqual(rows.filter((row) => row.task === 'several_values'));
    const others = new Set(generate({ seed: 2 }).map((row) => row.context));
    expect(rows.some((row) => others.has(row.context))).toBe(false);
    expect(new Set(rows.map((row) => row.context)).size).toBe(rows.length);
  });

  test('are the same on every machine', () => {
    const [row] = generate({ count: 1, tasks: ['single_fact'] });
    expect(row!.question).toBe('What is the special royal number for proud pebble mentioned in the text above?');
    expect(row!.outputs).toEqual(['838370']);
  });

  test('need text enough, and room for the facts', () => {
    expect(() => [
      ...retrievalTasks([documents[0]!.slice(0, 900)], {
        split: 'evaluation',
        seed: 1,
        count: 1,
        length: 512,
        countTokens: (text) => encode(text).length,
      }),
    ]).toThrow(TooLittleTextError);
    expect(() => generate({ length: 60, tasks: ['several_keys'] })).toThrow(UnfitLengthError);
  });
});

describe('splits', () => {
  test('share no key, number or variable', () => {
    const of = (split: Split): Set<string> =>
      new Set([0, 1, 2, 3].flatMap((seed) => generate({ split, seed, count: 15 }).flatMap(planted)));
    const calibration = of('calibration');
    const evaluation = of('evaluation');
    expect(calibration.size).toBeGreaterThan(500);
    expect([...evaluation].filter((name) => calibration.has(name))).toEqual([]);
    for (const name of calibration) expect(splitOf(name)).toBe('calibration');
    for (const name of evaluation) expect(splitOf(name)).toBe('evaluation');
  });

  test('halve the numbers, whatever digit they end with', () => {
    for (let last = 0; last < 10; last++) {
      let calibration = 0;
      for (let i = 0; i < 2000; i++) if (splitOf(String(100_000 + i * 10 + last)) === 'calibration') calibration++;
      expect(calibration / 2000).toBeGreaterThan(0.44);
      expect(calibration / 2000).toBeLessThan(0.56);
    }
  });

  test('have ranges of seeds that do not meet', () => {
    const { calibration, evaluation } = SEED_RANGES;
    expect(calibration.first + calibration.count).toBeLessThanOrEqual(evaluation.first);
    expect(seedOf('evaluation', 7)).toBe(evaluation.first + 7);
    expect(() => seedOf('calibration', calibration.count)).toThrow(SeedOutOfRangeError);
    expect(() => seedOf('calibration', -1)).toThrow(SeedOutOfRangeError);
    expect(() => seedOf('calibration', 0.5)).toThrow(SeedOutOfRangeError);
  });
});

describe('continuation tasks', () => {
  const options = { seed: 3, count: 4, prefixTokens: 700, answerTokens: 24 };

  test('are consecutive tokens of the documents from the start of a sentence', () => {
    const ring = documents.flatMap(sentences);
    const prose = [...ring, ...ring].join(' ');
    for (const { prefix, answer } of continuationTasks(documents, { ...options, encode })) {
      expect([prefix.length, answer.length]).toEqual([700, 24]);
      const text = decode([...prefix, ...answer]);
      expect(prose).toContain(text);
      expect(ring.some((sentence) => text.startsWith(sentence))).toBe(true);
      expect(encode(text).slice(0, 700)).toEqual([...prefix]);
    }
  });

  test('are the same for the same seed and end with the text', () => {
    const tasks = continuationTasks(documents, { ...options, encode });
    expect(continuationTasks(documents, { ...options, encode })).toEqual(tasks);
    expect(continuationTasks(documents, { ...options, seed: 4, encode })).not.toEqual(tasks);
    expect(() => continuationTasks(documents, { ...options, prefixTokens: 40_000, encode })).toThrow(
      TooLittleTextError,
    );
  });
});

test('sentences end neither at abbreviations nor at initials, and keep short pieces with what follows', () => {
  const text =
    'FEDERALIST No. 10\n\nSee 42 U. S. C. §2000e and Mr. Smith v. Jones.  It holds that the\nlaw is plain. We agree.';
  expect(sentences(text)).toEqual([
    'FEDERALIST No. 10 See 42 U. S. C. §2000e and Mr. Smith v. Jones.',
    'It holds that the law is plain.',
    'We agree.',
  ]);
});
