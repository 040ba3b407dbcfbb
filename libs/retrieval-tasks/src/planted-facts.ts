import type { FactNames } from './fact-names.js';
import type { SeededRandom } from './seeded-random.js';

/**
 * Kinds of tasks, after RULER (arXiv 2404.06654), with sentences of our own:
 * - `single_fact`: one number is planted and asked for;
 * - `several_keys`: numbers of {@link KEYS} keys are planted, one is asked for;
 * - `several_values`: one key has {@link ASKED} numbers, all are asked for;
 * - `several_queries`: the numbers of {@link ASKED} of {@link KEYS} keys are asked for;
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

const KEYS = 6;
const ASKED = 4;
const CHAIN = 5;
/** What a number may be of. */
const KINDS = ['locker code', 'archive number', 'ticket number', 'vault code', 'permit number', 'radio code'] as const;
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

const fact = (kind: string, key: string, number: string): string =>
  `Remember that the ${kind} for ${key} is ${number}.`;

function oneOfKeys(names: FactNames, random: SeededRandom, keys: number): PlantedFacts {
  const kind = random.pick(KINDS);
  const pairs = keysWithNumbers(names, keys);
  const asked = random.pick(pairs);
  return {
    facts: pairs.map(({ key, number }) => fact(kind, key, number)),
    question: `Which ${kind} for ${asked.key} does the text above give?`,
    answerPrefix: ` The text says that the ${kind} for ${asked.key} is`,
    outputs: [asked.number],
    tokensToGenerate: TOKENS_FOR_ONE,
  };
}

function severalValues(names: FactNames, random: SeededRandom): PlantedFacts {
  const kind = random.pick(KINDS);
  const key = names.key();
  const numbers = Array.from({ length: ASKED }, () => names.number());
  return {
    facts: numbers.map((number) => fact(kind, key, number)),
    question: `What are all ${ASKED} ${kind}s for ${key} that the text above gives?`,
    answerPrefix: ` The text gives these ${kind}s for ${key}:`,
    outputs: numbers,
    tokensToGenerate: TOKENS_FOR_SEVERAL,
  };
}

function severalQueries(names: FactNames, random: SeededRandom): PlantedFacts {
  const kind = random.pick(KINDS);
  const pairs = keysWithNumbers(names, KEYS);
  const asked = random.shuffle(pairs).slice(0, ASKED);
  const list = enumeration(asked.map(({ key }) => key));
  return {
    facts: pairs.map(({ key, number }) => fact(kind, key, number)),
    question: `What are the ${kind}s for ${list} that the text above gives?`,
    answerPrefix: ` The text gives these ${kind}s for ${list}:`,
    outputs: asked.map(({ number }) => number),
    tokensToGenerate: TOKENS_FOR_SEVERAL,
  };
}

function variableTracking(names: FactNames): PlantedFacts {
  const number = names.number();
  const variables = Array.from({ length: CHAIN }, () => names.variable());
  return {
    facts: variables.map((variable, i) =>
      i === 0 ? `Now set ${variable} = ${number}.` : `Now set ${variable} = ${variables[i - 1]}.`,
    ),
    question: `Which variables does the text above set to ${number}, directly or through another variable?`,
    answerPrefix: ` The text sets these ${CHAIN} variables to ${number}:`,
    outputs: variables,
    tokensToGenerate: TOKENS_FOR_SEVERAL,
  };
}

function keysWithNumbers(names: FactNames, count: number): { key: string; number: string }[] {
  return Array.from({ length: count }, () => ({ key: names.key(), number: names.number() }));
}

const enumeration = (items: readonly string[]): string => `${items.slice(0, -1).join(', ')} and ${items.at(-1)}`;
