import { FactNames } from './fact-names.js';
import { Haystack, plantInProse } from './haystack.js';
import { plantFacts, RETRIEVAL_TASKS, type RetrievalTask } from './planted-facts.js';
import { SeededRandom } from './seeded-random.js';
import { type Split, seedOf } from './splits.js';

/** One task in the format of RULER's files: the prompt is `context`, `question`, then the answer starts with `answer_prefix`. */
export interface RetrievalRow {
  readonly index: number;
  readonly task: RetrievalTask;
  /** Tokens of `context`: within 2 % of `max_seq_length` and never more. */
  readonly length: number;
  readonly max_seq_length: number;
  readonly context: string;
  readonly question: string;
  readonly answer_prefix: string;
  /** All of them must occur in the answer. */
  readonly outputs: readonly string[];
  readonly tokens_to_generate: number;
  readonly split: Split;
  readonly seed: number;
}

export interface RetrievalOptions {
  readonly split: Split;
  /** 0 to 999,999; every index of every seed is another task. */
  readonly seed: number;
  /** Rows of each task. */
  readonly count: number;
  /** Tokens of a context, 512 or more. */
  readonly length: number;
  readonly countTokens: (text: string) => number;
  /** Default: all. */
  readonly tasks?: readonly RetrievalTask[];
}

/**
 * Tasks that are answered by finding what was planted in real prose, `count` of each kind, grouped by kind; the same on
 * every machine for the same documents and options. Row i does not depend on `count` or on which tasks are asked for.
 * @param documents ordinary text, together longer than `length`
 * @throws TooLittleTextError, UnfitLengthError, SeedOutOfRangeError
 */
export function* retrievalTasks(documents: readonly string[], options: RetrievalOptions): Generator<RetrievalRow> {
  const { split, seed, count, length, countTokens, tasks = RETRIEVAL_TASKS } = options;
  const base = seedOf(split, seed);
  const haystack = new Haystack(documents);
  for (const task of tasks) {
    for (let index = 0; index < count; index++) {
      // the task and the row in the upper half, the seed in the lower: no two rows share a generator
      const random = new SeededRandom(
        base + (index * RETRIEVAL_TASKS.length + RETRIEVAL_TASKS.indexOf(task)) * 2 ** 32,
      );
      const planted = plantFacts(task, new FactNames(random, split, documents), random);
      const depths = planted.facts.map(() => random.unit()).sort((a, b) => a - b);
      const { text, tokens } = plantInProse(haystack.from(random), planted.facts, depths, {
        task,
        length,
        countTokens,
      });
      yield {
        index,
        task,
        length: tokens,
        max_seq_length: length,
        context: text,
        question: planted.question,
        answer_prefix: planted.answerPrefix,
        outputs: planted.outputs,
        tokens_to_generate: planted.tokensToGenerate,
        split,
        seed,
      };
    }
  }
}
