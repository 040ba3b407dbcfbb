import type { FactNames } from './fact-names.js';
import type { SeededRandom } from './seeded-random.js';

/**
 * Kinds of tasks, after RULER (arXiv 2404.06654) and in sentences like its own, with the same words in fact, question and
 * beginning of the answer: in long texts a small model does not find freer sentences even with its full cache.
 * - `single_fact`: one number is planted and asked for;
 * - `several_keys`: numbers of {@link KEYS} keys are planted, one is asked for;
 * - `several_values`: one key has {@link VALUES} numbers, all are asked for;
 * - `several_queries`: numbers of {@link KEYS} keys are planted, all are asked for;
 * - `variable_tracking`: a number is handed along a chain of {@link CHAIN} variables, all that hold it are asked for.
 */
export const RETRIEVAL_TASKS = [
  'single_fact',
  'several_keys',
  'several_values',
  'several_queries',
  'variable_tracking',
] as const;
export type RetrievalTask = (typeof RETRIEVAL_TASKS)[number];

const KEYS = 4;
const VALUES = 4;
const CHAIN = 5;
/** What is planted. Each says `number`: after `code` a small model goes on with words. */
const KINDS = [
  'special lucky number',
  'special secret number',
  'special golden number',
  'special hidden number',
  'special royal number',
  'special silver number',
] as const;
/** Room for a number of six digits and a few words; for four with their keys, or five variables, one a line. */
const TOKENS_FOR_ONE = 24;
const TOKENS_FOR_SEVERAL = 96;

/** What is planted in a text, in the order of the text, and what is asked about it. */
export interface PlantedFacts {
  readonly facts: readonly string[];
  readonly question: string;
  /** Beginning of the answer, given to the model; starts with a space, as in RULER. */
  readonly answerPrefix: string;
  readonly outputs: readonly string[];
  readonly tokensToGenerate: number;
}

/** Facts and question of one `task`. */
export function plantFacts(task: RetrievalTask, names: FactNames, random: SeededRandom): PlantedFacts {
  return PLANTERS[task](names, random);
}

const PLANTERS: Readonly<Record<RetrievalTask, (names: FactNames, random: SeededRandom) => PlantedFacts>> = {
  single_fact: (names, random) => oneOfKeys(names, random, 1),
  several_keys: (names, random) => oneOfKeys(names, random, KEYS),
  several_values: severalValues,
  several_queries: severalQueries,
  variable_tracking: variableTracking,
};

const fact = (kind: string, key: string, number: string): string => `One of the ${kind}s for ${key} is: ${number}.`;

function oneOfKeys(names: FactNames, random: SeededRandom, keys: number): PlantedFacts {
  const kind = random.pick(KINDS);
  const pairs = keysWithNumbers(names, keys);
  const asked = random.pick(pairs);
  return {
    facts: pairs.map(({ key, number }) => fact(kind, key, number)),
    question: `What is the ${kind} for ${asked.key} mentioned in the text above?`,
    answerPrefix: ` The ${kind} for ${asked.key} is:`,
    outputs: [asked.number],
    tokensToGenerate: TOKENS_FOR_ONE,
  };
}

function severalValues(names: FactNames, random: SeededRandom): PlantedFacts {
  const kind = random.pick(KINDS);
  const key = names.key();
  const numbers = Array.from({ length: VALUES }, () => names.number());
  return {
    facts: numbers.map((number) => fact(kind, key, number)),
    question: `What are all the ${kind}s for ${key} mentioned in the text above?`,
    // `the number` once, or a list of consecutive numbers follows.
    answerPrefix: ` The ${kind}s for ${key} mentioned in the text above are the number`,
    outputs: numbers,
    tokensToGenerate: TOKENS_FOR_SEVERAL,
  };
}

function severalQueries(names: FactNames, random: SeededRandom): PlantedFacts {
  const kind = random.pick(KINDS);
  const pairs = keysWithNumbers(names, KEYS);
  const asked = random.shuffle(pairs);
  const keys = asked.map(({ key }) => key);
  return {
    facts: pairs.map(({ key, number }) => fact(kind, key, number)),
    question: `What are the ${kind}s for ${enumeration(keys)} mentioned in the text above?`,
    // Begins a list of keys with their numbers, which the model continues; after all keys at once it loses track.
    answerPrefix: ` The ${kind}s are: ${keys[0]}:`,
    outputs: asked.map(({ number }) => number),
    tokensToGenerate: TOKENS_FOR_SEVERAL,
  };
}

function variableTracking(names: FactNames): PlantedFacts {
  const number = names.number();
  const variables = Array.from({ length: CHAIN }, () => names.variable());
  return {
    facts: variables.map(
      (variable, i) => `The variable ${variable} is set to ${i === 0 ? number : `the variable ${variables[i - 1]}`}.`,
    ),
    question: `Which ${CHAIN} variables are set to ${number} in the text above, directly or through another variable?`,
    answerPrefix: ` The variables that are set to ${number} in the text above are the variable`,
    outputs: variables,
    tokensToGenerate: TOKENS_FOR_SEVERAL,
  };
}

function keysWithNumbers(names: FactNames, count: number): { key: string; number: string }[] {
  return Array.from({ length: count }, () => ({ key: names.key(), number: names.number() }));
}

const enumeration = (items: readonly string[]): string => `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
