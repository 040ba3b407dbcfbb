import type { FullCache, HeldPrefix, Probe } from '@app/inference';
import { divergence, heldBytes } from '@app/inference';
import { type AttentionKind, createPolicy, type HeadCalibration, type Policy } from '@app/kv-policy';
import { mean } from '../averages.js';
import type { QualitySample } from './datasets.js';
import { scoreAnswer } from './metrics.js';
import { buildPrompt, type QualityMode } from './prompts.js';
import { type QualityRow, rowKey } from './rows.js';

export interface MeasureSettings {
  readonly probe: Probe;
  readonly calibration: HeadCalibration | undefined;
  /** Without `full`, which is measured for every sample. */
  readonly policies: readonly string[];
  readonly budgets: readonly number[];
  readonly modes: readonly QualityMode[];
  /** Tokens of document, question and answer. */
  readonly maxContext: number;
  /** Most tokens of an answer, where the benchmark does not ask for fewer. */
  readonly answerTokens: number;
}

/** A prefix read once, with what its compression is measured against. */
interface Reading {
  readonly cache: FullCache;
  readonly suffix: readonly number[];
  readonly prefillSeconds: number;
  readonly questionSeconds: number;
  readonly full: HeldPrefix;
  /** The full cache's greedy answer, the end of the turn included, and the logits it was drawn from. */
  readonly answer: readonly number[];
  readonly exact: Float32Array;
  readonly text: string;
}

/**
 * All rows of one sample that are not done yet: every policy and budget against the full cache, along the full cache's
 * own greedy answer. Modes that share a prefix share its reading.
 */
export async function* measureSample(
  sample: QualitySample,
  settings: MeasureSettings,
  isDone: (key: string) => boolean,
): AsyncGenerator<QualityRow> {
  const { probe, budgets, policies } = settings;
  const answerTokens = Math.min(settings.answerTokens, sample.answerTokens ?? settings.answerTokens);
  const readings = new Map<string, Reading>();
  for (const mode of settings.modes) {
    const combinations = policies.flatMap((policy) =>
      budgets.map((budget) => ({ policy, budget, mode, id: sample.id })),
    );
    const fullKey = { policy: 'full', budget: 1, mode, id: sample.id };
    const open = combinations.filter((combination) => !isDone(rowKey(combination)));
    if (open.length === 0 && isDone(rowKey(fullKey))) continue;

    const prompt = buildPrompt(sample, probe.gguf, mode, { maxContext: settings.maxContext, answerTokens });
    const shared = mode === 'prompt' ? mode : 'document';
    let reading = readings.get(shared);
    if (reading === undefined) {
      reading = await read(probe, [...prompt.prefix], [...prompt.suffix], answerTokens, settings);
      readings.set(shared, reading);
    }
    const common = { mode, family: sample.family, dataset: sample.dataset, id: sample.id };
    if (!isDone(rowKey(fullKey))) {
      const score = scoreAnswer(reading.text, sample);
      yield {
        policy: 'full',
        budget: 1,
        ...common,
        score,
        kl: 0,
        agreement: 1,
        bytes_share: 1,
        compress_share_of_prefill: 0,
      };
    }
    for (const { policy: name, budget } of open) {
      const policy = createPolicy(name, { scoring: mode === 'seen' ? 'questions' : 'window' });
      const start = performance.now();
      const held = probe.compress(reading.cache, policy, budget, settings.calibration);
      const scoring = policy.needs.attention.includes('questions') ? reading.questionSeconds : 0;
      const seconds = (performance.now() - start) / 1000 + scoring;
      const logits = await probe.forced(held, reading.suffix, reading.answer);
      const { kl, agreement } = divergence(reading.exact, logits, reading.answer.length);
      const { text } = await probe.greedy(held, reading.suffix, answerTokens);
      yield {
        policy: name,
        budget,
        ...common,
        score: scoreAnswer(text, sample),
        kl: mean(kl),
        agreement,
        bytes_share: heldBytes(held) / heldBytes(reading.full),
        compress_share_of_prefill: seconds / reading.prefillSeconds,
      };
    }
  }
}

async function read(
  probe: Probe,
  prefix: readonly number[],
  suffix: readonly number[],
  answerTokens: number,
  { policies, modes }: MeasureSettings,
): Promise<Reading> {
  const attention = kindsNeeded(policies, modes);
  const start = performance.now();
  const cache = await probe.read(prefix, attention);
  const questionStart = performance.now();
  if (attention.includes('questions')) await probe.scoreQuestions(cache, [suffix]);
  const end = performance.now();
  const full = probe.compress(cache, createPolicy('full'), 1);
  const { tokens, text, finishReason } = await probe.greedy(full, suffix, answerTokens);
  const [endOfTurn] = probe.gguf.tokenizer.endOfTurnTokens.slice(-1);
  const answer = finishReason === 'stop' ? [...tokens, endOfTurn as number] : tokens;
  return {
    cache,
    suffix,
    prefillSeconds: (questionStart - start) / 1000,
    questionSeconds: (end - questionStart) / 1000,
    full,
    answer,
    exact: await probe.forced(full, suffix, answer),
    text,
  };
}

function kindsNeeded(policies: readonly string[], modes: readonly QualityMode[]): AttentionKind[] {
  const all: Policy[] = modes.flatMap((mode) =>
    policies.map((name) => createPolicy(name, { scoring: mode === 'seen' ? 'questions' : 'window' })),
  );
  return [...new Set(all.flatMap((policy) => policy.needs.attention))];
}
