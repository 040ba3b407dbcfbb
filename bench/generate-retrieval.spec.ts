import { mkdtempSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { retrievalTasks } from '@app/retrieval-tasks';
import { describe, expect, test } from 'vitest';
import { loadSamples } from './quality/datasets.js';
import { scoreAnswer } from './quality/metrics.js';

const ROOT = join(import.meta.dirname, '..');
const FOLDER = join(ROOT, 'examples/documents');
const documents = readdirSync(FOLDER)
  .sort()
  .map((name) => readFileSync(join(FOLDER, name), 'utf8'));

describe('generated retrieval tasks', async () => {
  const model = await GgufModel.open(join(ROOT, 'models/smollm2-135m-instruct.q4_1.gguf'));
  await model.close();
  const countTokens = (text: string): number => model.tokenizer.encode(text).length;

  test.each([512, 4096, 8192])('have %i tokens of the default model or at most 2 in 100 less', (length) => {
    const rows = [...retrievalTasks(documents, { split: 'evaluation', seed: 5, count: 3, length, countTokens })];
    expect(rows).toHaveLength(15);
    for (const row of rows) {
      expect(countTokens(row.context)).toBe(row.length);
      expect(row.length / length).toBeGreaterThanOrEqual(0.98);
      expect(row.length).toBeLessThanOrEqual(length);
    }
  });

  test('are read and scored by the quality bench', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'longhaul-retrieval-'));
    const rows = [...retrievalTasks(documents, { split: 'evaluation', seed: 5, count: 2, length: 600, countTokens })];
    for (const row of rows) writeFileSync(join(folder, `${row.task}.jsonl`), `${JSON.stringify(row)}\n`, { flag: 'a' });
    const { samples, skipped } = await loadSamples([folder]);
    expect(skipped).toEqual([]);
    expect(samples).toHaveLength(rows.length);
    for (const sample of samples) {
      const row = rows.find(({ context }) => context === sample.documentText)!;
      expect(sample).toMatchObject({ family: 'retrieval', dataset: row.task, answerTokens: row.tokens_to_generate });
      expect(scoreAnswer(` ${row.outputs.join(' and ')}.`, sample)).toBe(1);
      expect(scoreAnswer(` ${row.outputs[0]}.`, sample)).toBe(1 / row.outputs.length);
      // a number of six digits and the words around it fit
      expect(countTokens(row.outputs.join(', '))).toBeLessThan(row.tokens_to_generate);
    }
  });
});
