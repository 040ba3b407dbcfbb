import { mkdirSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { DatasetError, loadSamples } from './datasets.js';

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'longhaul-datasets-'));
});

function write(path: string, content: object | object[] | string): void {
  const file = join(root, path);
  mkdirSync(join(file, '..'), { recursive: true });
  const text = Array.isArray(content) ? content.map((row) => `${JSON.stringify(row)}\n`).join('') : content;
  writeFileSync(file, typeof text === 'string' ? text : JSON.stringify(text));
}

const PROMPTS = {
  hotpotqa: 'Read.\n{context}\nQuestion: {input}\nAnswer:',
  '2wikimqa': 'Wiki.\n{context}\n{input}:',
  gov_report: 'Report:\n{context}\nSummary:',
  trec: 'Types.\n{context}\n{input}',
};
const row = (more: object = {}): object => ({ input: 'Who?', context: 'A {input} $& text.', answers: ['X'], ...more });

describe('LongBench folders', () => {
  test('fill the template around the document, and nothing in the document', async () => {
    write('longbench/dataset2prompt.json', PROMPTS);
    write('longbench/dataset2maxlen.json', { hotpotqa: 32 });
    write('longbench/hotpotqa.jsonl', [row({ input: 'Who is $1?' })]);
    const { samples, skipped } = await loadSamples([join(root, 'longbench')]);
    expect(skipped).toEqual([]);
    expect(samples).toEqual([
      {
        family: 'longbench',
        dataset: 'hotpotqa',
        id: expect.stringMatching(/^hotpotqa-[0-9a-f]{16}$/),
        documentText: 'Read.\nA {input} $& text.',
        questionText: '\nQuestion: Who is $1?\nAnswer:',
        answerPrefix: '',
        answers: ['X'],
        metric: 'f1',
        firstLine: false,
        classes: [],
        answerTokens: 32,
      },
    ]);
  });

  test('take variants of a set by its template and metric', async () => {
    write('longbench/dataset2prompt.json', PROMPTS);
    write('longbench/hotpotqa_e.jsonl', [row()]);
    write('longbench/gov_report.jsonl', [row({ answers: 'One text.' })]);
    write('longbench/trec.jsonl', [row({ all_classes: ['X', 'Y'] })]);
    write('multihop/2wikimultihopqa_distractor.jsonl', [row()]);
    const { samples } = await loadSamples([join(root, 'longbench'), join(root, 'multihop')]);
    expect(samples.map(({ family, dataset, metric }) => [family, dataset, metric])).toEqual([
      ['longbench', 'gov_report', 'rouge-l'],
      ['longbench', 'hotpotqa_e', 'f1'],
      ['longbench', 'trec', 'classification'],
      ['multihop', '2wikimultihopqa_distractor', 'f1'],
    ]);
    expect(samples[0]!.answers).toEqual(['One text.']);
    expect(samples[2]).toMatchObject({ firstLine: true, classes: ['X', 'Y'] });
    expect(samples[3]!.documentText).toMatch(/^Wiki\.\n/);
  });

  test('find the templates in a folder beside them, and say where they are missing', async () => {
    write('multihop/hotpotqa_distractor.jsonl', [row()]);
    await expect(loadSamples([join(root, 'multihop')])).rejects.toThrow(DatasetError);
    await expect(loadSamples([join(root, 'multihop')])).rejects.toThrow(/hotpotqa.*dataset2prompt\.json/);
    write('longbench/dataset2prompt.json', PROMPTS);
    expect((await loadSamples([join(root, 'multihop')])).samples).toHaveLength(1);
    // all at once, from the folder above
    expect((await loadSamples([root])).samples).toHaveLength(1);
  });

  test('leave out sets without a metric and rows without answers, and say so', async () => {
    write('longbench/dataset2prompt.json', PROMPTS);
    write('longbench/vcsum.jsonl', [row()]);
    write('longbench/hotpotqa.jsonl', [row(), row({ answers: [] }), row()]);
    const { samples, skipped } = await loadSamples([join(root, 'longbench')]);
    expect(samples).toHaveLength(1);
    expect(skipped.map(({ where, reason }) => [where.slice(root.length), reason])).toEqual([
      ['/longbench/hotpotqa.jsonl:2', 'no answers'],
      ['/longbench/hotpotqa.jsonl:3', 'the same sample again'],
      ['/longbench/vcsum.jsonl:1', 'no metric for vcsum'],
    ]);
  });
});

describe('RULER folders', () => {
  const ruler = {
    context: 'Noise. The number for pine is 7.',
    question: 'Which number?',
    answer_prefix: ' The number is',
    outputs: ['7'],
    task: 'niah_single_1',
    tokens_to_generate: 128,
  };

  test('are read at any depth, no templates needed', async () => {
    write('ruler/4096/niah_single_1.jsonl', [ruler]);
    write('ruler/8192/niah_single_1.jsonl', [{ ...ruler, context: 'More noise.' }]);
    write('ruler/4096/qa_2.jsonl', [{ ...ruler, task: 'qa_2' }]);
    const { samples } = await loadSamples([join(root, 'ruler')]);
    expect(samples.map(({ dataset, metric }) => [dataset, metric])).toEqual([
      ['niah_single_1', 'all-of'],
      ['qa_2', 'any-of'],
      ['niah_single_1', 'all-of'],
    ]);
    expect(samples[0]).toMatchObject({
      family: 'retrieval',
      documentText: ruler.context,
      questionText: '\nWhich number?',
      answerPrefix: 'The number is',
      answers: ['7'],
      answerTokens: 128,
    });
    expect(new Set(samples.map(({ id }) => id)).size).toBe(3);
  });

  test('skip files in another form of theirs', async () => {
    write('ruler/official.jsonl', [{ index: 0, input: 'all in one', outputs: ['7'], length: 9 }]);
    write('ruler/broken.jsonl', [{ context: 'Noise.', outputs: ['7'] }]);
    const { samples, skipped } = await loadSamples([join(root, 'ruler')]);
    expect(samples).toEqual([]);
    expect(skipped.map(({ reason }) => reason)).toEqual(['no question', 'no context']);
  });

  test('give ids that do not depend on where the folder lies', async () => {
    write('a/ruler/vt.jsonl', [ruler]);
    write('b/vt.jsonl', [ruler]);
    const one = await loadSamples([join(root, 'a')]);
    expect((await loadSamples([join(root, 'b')])).samples[0]!.id).toBe(one.samples[0]!.id);
  });
});

test('a line that is no JSON object is named', async () => {
  write('x.jsonl', '{"context":\n');
  await expect(loadSamples([root])).rejects.toThrow(/x\.jsonl:1/);
  write('x.jsonl', '\n7\n');
  await expect(loadSamples([root])).rejects.toThrow(/x\.jsonl:2/);
});
