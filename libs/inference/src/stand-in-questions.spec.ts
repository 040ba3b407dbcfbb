import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { encodeStandIns, STAND_IN_QUESTIONS } from './stand-in-questions.js';

const MODEL = join(import.meta.dirname, '../../../models/smollm2-135m-instruct.q4_1.gguf');

test('general questions end a message as a question of its own would', async () => {
  const gguf = await GgufModel.open(MODEL);
  const standIns = encodeStandIns(gguf);
  expect(standIns).toHaveLength(STAND_IN_QUESTIONS.length);
  for (const [i, ids] of standIns.entries()) {
    const { question, opening } = STAND_IN_QUESTIONS[i]!;
    const content = `The document.\n\n${question}`;
    const chat = gguf.chatTemplate.encodeChat([{ role: 'user', content }], { addGenerationPrompt: true });
    const prompt = [...chat, ...gguf.tokenizer.encode(opening)];
    expect(prompt.slice(-ids.length)).toEqual(ids);
  }
  // They are run over every document: together well under one chunk of a prefill.
  expect(standIns.flat().length).toBeLessThan(200);
  await gguf.close();
});

test('a model without a chat template is asked without one', async () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-stand-ins-'));
  const path = join(folder, 'bare.gguf');
  writeTinyGguf(path, { metadata: { 'tokenizer.chat_template': undefined } });
  const gguf = await GgufModel.open(path);
  expect(gguf.tokenizer.decode(encodeStandIns(gguf)[2]!)).toBe('\n\nWrite a summary of the text.\nThe text is about');
  await gguf.close();
  rmSync(folder, { recursive: true, force: true });
});
