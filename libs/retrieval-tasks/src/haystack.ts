import { TooLittleTextError, UnfitLengthError } from './errors.js';
import type { SeededRandom } from './seeded-random.js';
import { sentences } from './sentences.js';

/** A context is at least this share of the wanted length, and never longer than it. */
const LEAST_SHARE = 0.98;
/** Aimed at: a little above the middle of what is accepted. */
const AIM = 0.993;

/** Sentences of all documents on a ring, so that a task may start at any of them and read on into the next document. */
export class Haystack {
  private readonly sentences: readonly string[];

  constructor(documents: readonly string[]) {
    this.sentences = documents.flatMap(sentences);
    if (this.sentences.length === 0) throw new TooLittleTextError(0, 0);
  }

  /** All sentences once, from a random one on. */
  from(random: SeededRandom): string[] {
    const start = random.below(this.sentences.length);
    return [...this.sentences.slice(start), ...this.sentences.slice(0, start)];
  }
}

/**
 * Text of `prose` with `facts` between its sentences, cut after a word so that `countTokens` of it lands in
 * [0.98 length, length].
 * @param depths one per fact, ascending, in [0, 1): 0 before the first sentence, near 1 before the last
 * @throws TooLittleTextError, UnfitLengthError
 */
export function plantInProse(
  prose: readonly string[],
  facts: readonly string[],
  depths: readonly number[],
  wanted: { readonly task: string; readonly length: number; readonly countTokens: (text: string) => number },
): { text: string; tokens: number } {
  const { task, length, countTokens } = wanted;
  const wordsPerSentence = prose.map((sentence) => sentence.split(' ').length);
  const allWords = wordsPerSentence.reduce((sum, words) => sum + words, 0);
  let [fewest, most] = [0, allWords + 1]; // fewest words fit too loosely, most are too many
  let guess = Math.min(allWords, Math.max(1, Math.round(length * 0.6)));
  while (most - fewest > 1) {
    const text = withFacts(firstWords(prose, guess), facts, depths);
    const tokens = countTokens(text);
    if (tokens > length) most = guess;
    else if (tokens < length * LEAST_SHARE) fewest = guess;
    else return { text, tokens };
    if (fewest === allWords) throw new TooLittleTextError(length, tokens);
    // Tokens grow nearly in proportion to words; at a bracket's end halving it is what guarantees an end.
    const proportional = Math.round((guess * length * AIM) / tokens);
    const inside = proportional > fewest && proportional < most;
    guess = inside ? proportional : Math.floor((fewest + most) / 2);
  }
  const tokens = countTokens(withFacts(firstWords(prose, fewest), facts, depths));
  throw new UnfitLengthError(task, length, `${tokens} tokens with ${fewest} words of prose, too many with one more`);
}

/** The first `count` words, as sentences; the last one may be cut. */
function firstWords(prose: readonly string[], count: number): string[] {
  const taken: string[] = [];
  let left = count;
  for (const sentence of prose) {
    if (left <= 0) break;
    const words = sentence.split(' ');
    taken.push(words.length <= left ? sentence : words.slice(0, left).join(' '));
    left -= words.length;
  }
  return taken;
}

function withFacts(prose: readonly string[], facts: readonly string[], depths: readonly number[]): string {
  const parts: string[] = [];
  let next = 0;
  for (let i = 0; i < prose.length; i++) {
    while (next < facts.length && Math.floor(depths[next]! * prose.length) === i) parts.push(facts[next++]!);
    parts.push(prose[i]!);
  }
  // A text of no prose at all still holds its facts, so that its length is known.
  return [...parts, ...facts.slice(next)].join(' ');
}
