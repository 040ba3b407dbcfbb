import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { Engine, type Precision } from '@app/inference';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';

/** `fixtures/smollm2-greedy.json`: float32 values of another implementation. */
interface GoldenCase {
  readonly name: string;
  readonly user: string | null;
  readonly prompt_tokens: number;
  readonly ids_head: readonly number[];
  readonly ids_tail: readonly number[];
  readonly top20: readonly (readonly [token: number, logprob: number])[];
  readonly greedy_ids: readonly number[];
  /** Logit of the best minus the second at each position. */
  readonly greedy_margins: readonly number[];
  readonly source?: { readonly file: string; readonly chars: number; readonly question: string };
}

const root = join(import.meta.dirname, '..');
const modelPath = join(root, 'models/smollm2-135m-instruct.q4_1.gguf');
const golden = JSON.parse(readFileSync(join(root, 'test/fixtures/smollm2-greedy.json'), 'utf8')) as {
  system_prompt: string;
  cases: GoldenCase[];
};

function userMessage({ user, source }: GoldenCase): string {
  if (source === undefined) return user as string;
  const text = readFileSync(join(root, 'examples/documents', source.file.split('/').at(-1) as string), 'utf8');
  return `${[...text].slice(0, source.chars).join('')}\n\n${source.question}`;
}

interface Tolerance {
  readonly precision: Precision;
  /** Largest margin at which quantisation may still pick another token. */
  readonly margin: number;
  /** Of the log-probabilities of this many most likely tokens. */
  readonly logprob: number;
  readonly top: number;
  /** Longest prompt, in tokens: exact arithmetic takes twice as long and goes no other way for longer ones. */
  readonly longest: number;
}
const PRECISIONS: readonly Tolerance[] = [
  { precision: 'f32', margin: 0.02, logprob: 0.005, top: 20, longest: 3000 },
  { precision: 'q8', margin: 0.3, logprob: 0.35, top: 1, longest: Number.POSITIVE_INFINITY },
];

describe.each(PRECISIONS)('golden values, $precision', ({ precision, margin, logprob, top, longest }) => {
  let engine: Engine;
  let gguf: GgufModel;

  beforeAll(async () => {
    gguf = await GgufModel.open(modelPath);
    const cacheDir = join(root, '.longhaul/graphs');
    engine = await Engine.open({ modelPath, cacheDir, precision, threads: 2, compressThreads: 1 });
  });
  afterAll(async () => {
    await engine?.close();
    await gguf?.close();
  });

  test.each(golden.cases.filter(({ prompt_tokens }) => prompt_tokens <= longest))('$name', async (golden) => {
    const prompt = gguf.chatTemplate.encodeChat([{ role: 'user', content: userMessage(golden) }], {
      addGenerationPrompt: true,
    });
    expect(prompt.length).toBe(golden.prompt_tokens);
    expect(prompt.slice(0, golden.ids_head.length)).toEqual(golden.ids_head);
    expect(prompt.slice(-golden.ids_tail.length)).toEqual(golden.ids_tail);

    const held = await engine.prefill({ tokens: prompt.slice(0, -16), compression: { policy: 'full', budget: 1 } });
    const answer = await engine.generate({
      handle: held.handle,
      suffix: prompt.slice(-16),
      sampling: { temperature: 0, topP: 1, maxTokens: 32, stop: [], topLogprobs: 20 },
    });
    await engine.release(held.handle);

    const unsure = golden.greedy_margins.findIndex((found) => found < margin);
    const sure = unsure === -1 ? golden.greedy_ids.length : unsure;
    expect(answer.tokens.slice(0, sure)).toEqual(golden.greedy_ids.slice(0, sure));
    const first = new Map(answer.logprobs?.[0]?.top.map((token) => [token.token, token.logprob]));
    for (const [token, expected] of golden.top20.slice(0, top)) {
      // The last of the 20 may swap places with the 21st.
      const found = first.get(token) ?? (token === golden.top20.at(-1)?.[0] ? expected : Number.NaN);
      expect(Math.abs(found - expected), `log-probability of token ${token}`).toBeLessThan(logprob);
    }
  });
});
