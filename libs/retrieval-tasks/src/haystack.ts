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

/** Starts of the prose that are tried: where one ends in a long citation, the next ones do not. */
const STARTS = 8;

export interface WantedText {
  readonly task: string;
  /** Tokens. */
  readonly length: number;
  readonly countTokens: (text: string) => number;
}

/**
 * Text of `prose` with `facts` between its sentences, cut after a word so that `countTokens` of it lands in
 * [0.98 length, length]. Where no cut does, the prose starts some sentences later.
 * @param depths one per fact, ascending, in [0, 1): 0 before the first sentence, near 1 before the last
 * @throws TooLittleTextError, UnfitLengthError
 */
export function plantInProse(
  prose: readonly string[],
  facts: readonly string[],
  depths: readonly number[],
  wanted: WantedText,
): { text: string; tokens: number } {
  for (let start = 0; start < STARTS; start++) {
    const found = fit([...prose.slice(start), ...prose.slice(0, start)], facts, depths, wanted);
    if (found !== undefined) return found;
  }
  throw new UnfitLengthError(
    wanted.task,
    wanted.length,
    `${wanted.countTokens(facts.join(' '))} tokens of facts alone`,
  );
}

/** The text, or undefined where one word more is the difference between too little and too much. */
function fit(
  prose: readonly string[],
  facts: readonly string[],
  depths: readonly number[],
  { length, countTokens }: WantedText,
): { text: string; tokens: number } | undefined {
  const allWords = prose.reduce((sum, sentence) => sum + sentence.split(' ').length, 0);
  let [fewest, most] = [0, allWords + 1]; // `fewest` words are too few for certain, `most` too many
  let guess = Math.min(allWords, Math.max(1, Math.round(length * 0.6)));
  while (most - fewest > 1) {
    const text = withFacts(firstWords(prose, guess), facts, depths);
    const tokens = countTokens(text);
    if (tokens > length) most = guess;
    else if (tokens < length * LEAST_SHARE) fewest = guess;
    else return { text, tokens };
    if (fewest === allWords) throw new TooLittleTextError(length, tokens);
    // Tokens grow nearly in proportion to words; where that leads out of the bracket, halving it guarantees an end.
    const proportional = Math.round((guess * length * AIM) / tokens);
    const inside = proportional > fewest && proportional < most;
    guess = inside ? proportional : Math.floor((fewest + most) / 2);
  }
  return undefined;
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
