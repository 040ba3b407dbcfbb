/** Keeps f finite where nothing is common; part of the figures that are published. */
const EPSILON = 1e-8;

/**
 * ROUGE-L of summaries (Lin 2004) as LongBench takes it from the Python package `rouge` 1.0: sentences end at full stops,
 * words are compared as they are, and everything is counted over distinct words: recall is the share of the expected
 * text's distinct words in the union of the longest common subsequences of all pairs of sentences, precision the same of
 * the answer's; f = 2 p r / (p + r). 0 where either text has no sentence.
 */
export function rougeL(answer: string, expected: string): number {
  const found = sentencesOfWords(answer);
  const wanted = sentencesOfWords(expected);
  if (found.length === 0 || wanted.length === 0) return 0;
  const common = new Set<string>();
  for (const sentence of wanted) {
    for (const other of found) {
      for (const word of commonSubsequence(sentence, other)) common.add(word);
    }
  }
  const recall = common.size / new Set(wanted.flat()).size;
  const precision = common.size / new Set(found.flat()).size;
  return (2 * precision * recall) / (precision + recall + EPSILON);
}

/** A piece of white space alone is a sentence of one empty word there, so it is here. */
function sentencesOfWords(text: string): string[][] {
  return text
    .split('.')
    .filter((piece) => piece !== '')
    .map((piece) => piece.trim().split(/\s+/));
}

/**
 * A longest common subsequence of `a` and `b`; of several the one that, walking back from the ends, drops from `b` first.
 * O(a.length x b.length) time and bytes.
 */
export function commonSubsequence<T>(a: readonly T[], b: readonly T[]): T[] {
  const columns = b.length + 1;
  const lengths = new Uint32Array((a.length + 1) * columns);
  for (let i = 1; i <= a.length; i++) {
    for (let j = 1; j <= b.length; j++) {
      const at = i * columns + j;
      lengths[at] =
        a[i - 1] === b[j - 1] ? lengths[at - columns - 1]! + 1 : Math.max(lengths[at - columns]!, lengths[at - 1]!);
    }
  }
  const common: T[] = [];
  for (let i = a.length, j = b.length; i > 0 && j > 0; ) {
    if (a[i - 1] === b[j - 1]) {
      common.push(a[--i]!);
      j--;
    } else if (lengths[(i - 1) * columns + j]! > lengths[i * columns + j - 1]!) i--;
    else j--;
  }
  return common.reverse();
}
