import { TooLittleTextError } from './errors.js';
import { Haystack } from './haystack.js';
import { SeededRandom } from './seeded-random.js';
import { seedOf } from './splits.js';

/** Ordinary text cut in two: how well is `answer` foreseen after `prefix`. */
export interface ContinuationTask {
  /** Token ids of the text that is read, from the start of a sentence on. */
  readonly prefix: Int32Array;
  /** Token ids that follow in the same text. */
  readonly answer: Int32Array;
}

export interface ContinuationOptions {
  /** 0 to 999,999, of the range for calibration. */
  readonly seed: number;
  readonly count: number;
  readonly prefixTokens: number;
  readonly answerTokens: number;
  readonly encode: (text: string) => ArrayLike<number>;
}

/**
 * Pieces of the documents with what follows them, to calibrate on ordinary text. Meant for calibration only: pieces of
 * two seeds may overlap.
 * @throws TooLittleTextError, SeedOutOfRangeError
 */
export function continuationTasks(documents: readonly string[], options: ContinuationOptions): ContinuationTask[] {
  const { count, prefixTokens, answerTokens, encode } = options;
  const random = new SeededRandom(seedOf('calibration', options.seed));
  const haystack = new Haystack(documents);
  return Array.from({ length: count }, () => {
    const ids = firstTokens(haystack.from(random), prefixTokens + answerTokens, encode);
    return { prefix: ids.slice(0, prefixTokens), answer: ids.slice(prefixTokens) };
  });
}

/** The first `count` token ids of `prose`, of which no more than needed is encoded. */
function firstTokens(prose: readonly string[], count: number, encode: (text: string) => ArrayLike<number>): Int32Array {
  const whole = prose.join(' ');
  for (let characters = count * 6; ; characters *= 2) {
    // cut before a space, where no token reaches across
    const end = characters < whole.length ? whole.lastIndexOf(' ', characters) : whole.length;
    const ids = encode(whole.slice(0, Math.max(end, 0)));
    if (ids.length >= count) return Int32Array.from({ length: count }, (_, i) => ids[i]!);
    if (end === whole.length) throw new TooLittleTextError(count, ids.length);
  }
}
