import { commonSubsequence, rougeL } from './rouge-l.js';

/** The benchmarks' own ways to score an answer. */
export type MetricName =
  | 'f1'
  | 'rouge-l'
  | 'classification'
  | 'passage-retrieval'
  | 'count'
  | 'code-similarity'
  | 'all-of'
  | 'any-of';

/** Score in [0, 1] of one answer against one expected one; `classes` are all labels of a classification set. */
type Scorer = (answer: string, expected: string, classes: readonly string[]) => number;

/** Scores of LongBench (arXiv 2308.14508, its metrics.py), which takes the best over all expected answers. */
const LONGBENCH: Readonly<Partial<Record<MetricName, Scorer>>> = {
  f1,
  'rouge-l': rougeL,
  classification,
  'passage-retrieval': passageRetrieval,
  count: (answer, expected) => shareOfNumbers(answer, expected),
  'code-similarity': codeLineSimilarity,
};

/** Metric of each English LongBench set, and whether only the first line of an answer counts (its eval.py). */
const LONGBENCH_SETS: Readonly<Record<string, { readonly metric: MetricName; readonly firstLine?: true }>> = {
  narrativeqa: { metric: 'f1' },
  qasper: { metric: 'f1' },
  multifieldqa_en: { metric: 'f1' },
  hotpotqa: { metric: 'f1' },
  '2wikimqa': { metric: 'f1' },
  musique: { metric: 'f1' },
  gov_report: { metric: 'rouge-l' },
  qmsum: { metric: 'rouge-l' },
  multi_news: { metric: 'rouge-l' },
  trec: { metric: 'classification', firstLine: true },
  triviaqa: { metric: 'f1', firstLine: true },
  samsum: { metric: 'rouge-l', firstLine: true },
  passage_retrieval_en: { metric: 'passage-retrieval' },
  passage_count: { metric: 'count' },
  lcc: { metric: 'code-similarity' },
  'repobench-p': { metric: 'code-similarity' },
};

/** How answers of a LongBench set are scored; undefined for sets that are not English or unknown. */
export function longbenchScoring(set: string): { metric: MetricName; firstLine: boolean } | undefined {
  const found = Object.hasOwn(LONGBENCH_SETS, set) ? LONGBENCH_SETS[set] : undefined;
  return found && { metric: found.metric, firstLine: found.firstLine === true };
}

/** RULER's metric of a task: its question answering (`qa_*`) wants any of the outputs, all others the share of them (its constants.py). */
export const rulerMetric = (task: string): MetricName => (task.startsWith('qa') ? 'any-of' : 'all-of');

/** What of a sample its score needs. */
export interface Scoring {
  readonly metric: MetricName;
  /** Whether only the first line of the answer counts. */
  readonly firstLine: boolean;
  readonly answers: readonly string[];
  readonly classes: readonly string[];
}

/** Score in [0, 1] of `answer`, by the benchmark's own metric. */
export function scoreAnswer(answer: string, { metric, firstLine, answers, classes }: Scoring): number {
  const judged = firstLine ? answer.replace(/^\n+/, '').split('\n')[0]! : answer;
  if (metric === 'all-of') return answers.filter((expected) => contains(judged, expected)).length / answers.length;
  if (metric === 'any-of') return answers.some((expected) => contains(judged, expected)) ? 1 : 0;
  const scorer = LONGBENCH[metric]!;
  return Math.max(...answers.map((expected) => scorer(judged, expected, classes)));
}

const contains = (text: string, part: string): boolean => text.toLowerCase().includes(part.toLowerCase());

/** Words of `text` as SQuAD and LongBench compare them: lower case, without ASCII punctuation and English articles. */
export function normalisedWords(text: string): string[] {
  return text
    .toLowerCase()
    .replace(/[!-/:-@[-`{-~]/g, '')
    .replace(/(?<![\p{L}\p{N}_])(?:a|an|the)(?![\p{L}\p{N}_])/gu, ' ')
    .split(/\s+/)
    .filter((word) => word !== '');
}

/** Harmonic mean of precision and recall over words, each counted as often as it occurs (qa_f1_score). */
export function f1(answer: string, expected: string): number {
  const found = normalisedWords(answer);
  const wanted = normalisedWords(expected);
  const left = new Map<string, number>();
  for (const word of wanted) left.set(word, (left.get(word) ?? 0) + 1);
  let same = 0;
  for (const word of found) {
    const count = left.get(word) ?? 0;
    if (count > 0) same++;
    left.set(word, count - 1);
  }
  return same === 0 ? 0 : (2 * same) / (found.length + wanted.length);
}

/** 1 / (labels that the answer mentions) if the right one is among them (classification_score). */
function classification(answer: string, expected: string, classes: readonly string[]): number {
  const mentioned = classes.filter((label) => answer.includes(label));
  // Parts of the right label do not count against it. Removing while walking passes over the label after each one
  // removed: so does LongBench, and scores are to be comparable.
  for (let i = 0; i < mentioned.length; i++) {
    const label = mentioned[i]!;
    if (label !== expected && expected.includes(label)) mentioned.splice(mentioned.indexOf(label), 1);
  }
  return mentioned.includes(expected) ? 1 / mentioned.length : 0;
}

/** Share of the answer's numbers that are the one wanted (count_score). */
function shareOfNumbers(answer: string, wanted: string): number {
  const numbers = answer.match(/\d+/g) ?? [];
  return numbers.length === 0 ? 0 : numbers.filter((number) => number === wanted).length / numbers.length;
}

/** As {@link shareOfNumbers}, the number taken from `Paragraph 12` (retrieval_score). */
function passageRetrieval(answer: string, expected: string): number {
  return shareOfNumbers(answer, /Paragraph (\d+)/.exec(expected)?.[1] ?? expected);
}

/** Similarity of the first line that is neither comment nor fence to the expected one (code_sim_score). */
function codeLineSimilarity(answer: string, expected: string): number {
  const lines = answer.replace(/^\n+/, '').split('\n');
  const code = lines.find((line) => !line.includes('`') && !line.includes('#') && !line.includes('//')) ?? '';
  return ratio(code, expected);
}

/**
 * 2 x (longest common subsequence of characters) / (both lengths), to whole percents: fuzz.ratio as its maintained
 * releases define it (1 - insertions and deletions over both lengths).
 */
function ratio(a: string, b: string): number {
  const [x, y] = [[...a], [...b]];
  if (x.length + y.length === 0) return 0;
  return Math.round((200 * commonSubsequence(x, y).length) / (x.length + y.length)) / 100;
}
