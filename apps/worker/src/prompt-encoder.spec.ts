import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ApiError } from '@app/batches';
import { loadConfig } from '@app/config';
import { MissingChatTemplateError } from '@app/gguf-model';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { openPromptEncoder } from './prompt-encoder.js';

let folder: string;
let modelPath: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'prompt-encoder-'));
  modelPath = join(folder, 'tiny.gguf');
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const open = () => openPromptEncoder(loadConfig({ LONGHAUL_MODEL: modelPath }), false);

it('tells clients what is wrong with their messages, not where the model is', async () => {
  writeTinyGguf(modelPath);
  const content = Array.from({ length: 32 }, (_, i) => String.fromCharCode(0xfdd0 + i)).join('');
  const error = await (await open()).encode([{ role: 'user', content }]).catch((reason: unknown) => reason);
  expect(error).toBeInstanceOf(ApiError);
  expect((error as ApiError).message).toContain('noncharacters');
  expect((error as ApiError).message).not.toContain(folder);
});

it('is not made for a model without a chat template', async () => {
  writeTinyGguf(modelPath, { metadata: { 'tokenizer.chat_template': undefined } });
  await expect(open()).rejects.toThrow(MissingChatTemplateError);
});
