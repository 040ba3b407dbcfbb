import { describe, expect, test } from 'vitest';
import { f1, longbenchScoring, normalisedWords, rulerMetric, type Scoring, scoreAnswer } from './metrics.js';

const scoring = (metric: Scoring['metric'], answers: string[], more: Partial<Scoring> = {}): Scoring => ({
  metric,
  answers,
  firstLine: false,
  classes: [],
  ...more,
});

describe('F1', () => {
  test('compares words without case, ASCII punctuation and articles', () => {
    expect(normalisedWords(' The U.S., an Über-cat’s  a-b; là_a ')).toEqual(['us', 'übercat’s', 'ab', 'làa']);
    expect(normalisedWords('là a')).toEqual(['là']);
  });

  test('is the harmonic mean of precision and recall, each word counted as often as it occurs', () => {
    expect(f1('Long Island', 'the long island.')).toBe(1);
    // 2 of 4 words are right, 2 of 2 are found
    expect(f1('it is Long Island', 'Long Island')).toBeCloseTo((2 * 0.5 * 1) / 1.5);
    expect(f1('yes yes yes', 'yes')).toBeCloseTo((2 * (1 / 3) * 1) / (4 / 3));
    expect(f1('no', 'yes')).toBe(0);
    expect(f1('', 'yes')).toBe(0);
  });

  test('takes the best of the expected answers', () => {
    expect(scoreAnswer('0.05 F1', scoring('f1', ['5 percent points.', '0.05 F1']))).toBe(1);
  });
});

describe('first line', () => {
  test('counts alone where LongBench says so, after leading line breaks', () => {
    const answer = '\n\nAugustus\nPassage: another one';
    expect(scoreAnswer(answer, scoring('f1', ['Augustus'], { firstLine: true }))).toBe(1);
    expect(scoreAnswer(answer, scoring('f1', ['Augustus']))).toBeCloseTo(0.4);
  });

  test('is taken of trec, triviaqa and samsum', () => {
    for (const set of ['trec', 'triviaqa', 'samsum']) expect(longbenchScoring(set)!.firstLine).toBe(true);
    for (const set of ['hotpotqa', 'gov_report', 'lcc']) expect(longbenchScoring(set)!.firstLine).toBe(false);
    expect(longbenchScoring('multifieldqa_zh')).toBeUndefined();
    expect(longbenchScoring('constructor')).toBeUndefined();
  });
});

describe('classification', () => {
  const classes = [
    'Invention, book and other creative piece',
    'Individual',
    'Group or organization of person',
    'Other',
  ];

  test('is one over the labels mentioned, none without the right one', () => {
    expect(scoreAnswer('Individual', scoring('classification', ['Individual'], { classes }))).toBe(1);
    expect(scoreAnswer('Individual or Other', scoring('classification', ['Individual'], { classes }))).toBe(0.5);
    expect(scoreAnswer('Other', scoring('classification', ['Individual'], { classes }))).toBe(0);
  });

  test('does not count labels that are parts of the right one, but passes over the one after each', () => {
    const parts = ['date', 'da', 'd', 'x'];
    // date, da and d are mentioned; da is removed, and d moves into its place, behind the walk
    expect(scoreAnswer('date', scoring('classification', ['date'], { classes: parts }))).toBe(1 / 2);
    expect(scoreAnswer('date', scoring('classification', ['date'], { classes: ['date', 'da'] }))).toBe(1);
  });
});

describe('numbers', () => {
  test('score by the share of the answer that is the right one', () => {
    expect(scoreAnswer('11', scoring('count', ['11']))).toBe(1);
    expect(scoreAnswer('11 or 12', scoring('count', ['11']))).toBe(0.5);
    expect(scoreAnswer('eleven', scoring('count', ['11']))).toBe(0);
    expect(scoreAnswer('Paragraph 3', scoring('passage-retrieval', ['Paragraph 3']))).toBe(1);
    expect(scoreAnswer('Paragraph 13', scoring('passage-retrieval', ['Paragraph 3']))).toBe(0);
  });
});

describe('code', () => {
  test('compares the first line that is no comment', () => {
    const answer = '\n# a comment\n// another\n`fence`\n    return x\nmore';
    expect(scoreAnswer(answer, scoring('code-similarity', ['    return x']))).toBe(1);
    expect(scoreAnswer('# only\n# comments', scoring('code-similarity', ['return']))).toBe(0);
  });

  test('is twice the common subsequence over both lengths, to whole percents', () => {
    // the documented example of fuzz.ratio: 97
    expect(scoreAnswer('this is a test', scoring('code-similarity', ['this is a test!']))).toBe(0.97);
    expect(scoreAnswer('abcd', scoring('code-similarity', ['bcde']))).toBe(0.75);
  });
});

describe('RULER', () => {
  test('wants all outputs, each giving its share, whatever the case', () => {
    const all = scoring('all-of', ['URCJM', 'NZDRJ', 'MFRFL', 'BZMMS']);
    expect(scoreAnswer('urcjm, mfrfl', all)).toBe(0.5);
    expect(scoreAnswer('none', all)).toBe(0);
  });

  test('wants any of them in question answering', () => {
    expect(rulerMetric('qa_2')).toBe('any-of');
    expect(rulerMetric('niah_multivalue')).toBe('all-of');
    expect(scoreAnswer('in Springfield', scoring('any-of', ['Boston', 'springfield']))).toBe(1);
    expect(scoreAnswer('in Salem', scoring('any-of', ['Boston', 'springfield']))).toBe(0);
  });
});
