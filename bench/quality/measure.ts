import type { AskedRows, HeldPrefix, MergingRead, Probe, Reading, ReadingCache } from '@app/inference';
import { divergence, heldBytes } from '@app/inference';
import { type AttentionKind, createPolicy, type HeadCalibration, type Policy } from '@app/kv-policy';
import { mean } from '../averages.js';
import type { QualitySample } from './datasets.js';
import { scoreAnswer } from './metrics.js';
import { namedPolicy } from './named-policy.js';
import { buildPrompt, type QualityMode, questionTokens } from './prompts.js';
import { type QualityRow, rowKey, rowPolicy } from './rows.js';

export interface MeasureSettings {
  readonly probe: Probe;
  readonly calibration: HeadCalibration | undefined;
  /** Without `full`, which is measured for every sample. */
  readonly policies: readonly string[];
  readonly budgets: readonly number[];
  readonly modes: readonly QualityMode[];
  /** How prefixes are read; what is measured against is always read exactly. */
  readonly readings: readonly Reading[];
  /** Tokens of document, question and answer. */
  readonly maxContext: number;
  /** Most tokens of an answer, where the benchmark does not ask for fewer. */
  readonly answerTokens: number;
}

/** A cache as it was read. */
interface ReadPrefix {
  readonly cache: ReadingCache;
  readonly prefillSeconds: number;
}

/** A prefix read exactly, once, with what its compression is measured against. */
interface Reference extends ReadPrefix {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  readonly full: HeldPrefix;
  /** The full cache's greedy answer, the end of the turn included, and the logits it was drawn from. */
  readonly answer: readonly number[];
  readonly exact: Float32Array;
  readonly text: string;
}

/**
 * All rows of one sample that are not done yet: every policy and budget against the full cache, along the full cache's
 * own greedy answer. Modes that share a prefix share its reading.
 * @param others whose questions are known as well in mode `together`
 */
export async function* measureSample(
  sample: QualitySample,
  settings: MeasureSettings,
  isDone: (key: string) => boolean,
  others: readonly QualitySample[] = [],
): AsyncGenerator<QualityRow> {
  const { probe } = settings;
  const answerTokens = Math.min(settings.answerTokens, sample.answerTokens ?? settings.answerTokens);
  const references = new Map<string, Reference>();
  for (const mode of settings.modes) {
    const open = combinations(settings).filter(
      ({ name, budget, reading }) => !isDone(rowKey({ policy: rowPolicy(name, reading), budget, mode, id: sample.id })),
    );
    const fullOpen = !isDone(rowKey({ policy: 'full', budget: 1, mode, id: sample.id }));
    if (open.length === 0 && !fullOpen) continue;

    const prompt = buildPrompt(sample, probe.gguf, mode, { maxContext: settings.maxContext, answerTokens });
    const shared = mode === 'prompt' ? mode : 'document';
    let reference = references.get(shared);
    if (reference === undefined) {
      reference = await readReference(probe, [...prompt.prefix], [...prompt.suffix], answerTokens, settings);
      references.set(shared, reference);
    }
    const common = { mode, family: sample.family, dataset: sample.dataset, id: sample.id };
    if (fullOpen) {
      const score = scoreAnswer(reference.text, sample);
      yield { policy: 'full', budget: 1, ...common, score, ...AS_FULL };
    }
    const beside = mode === 'together' ? others.map((other) => questionTokens(other, probe.gguf)) : [];
    const known = mode === 'seen' || mode === 'together' ? [reference.suffix, ...beside] : undefined;
    /** By whether what they got is recorded, which only some policies pay for. */
    const askedBefore = new Map<boolean, Asked>();
    for (const { name, budget, reading } of open) {
      const policy = namedPolicy(name, mode);
      const scored = policy.needs.attention.includes('questions');
      let [read, asked]: [ReadPrefix, Asked | undefined] = [reference, undefined];
      if (reading === 'merging') {
        read = await readMerging(settings, reference, policy, budget, known ?? probe.standIns.questions);
        if (scored) asked = await ask(settings, read.cache, reference.prefix, known, policy.matching);
      } else if (scored) {
        asked =
          askedBefore.get(policy.matching) ??
          (await ask(settings, read.cache, reference.prefix, known, policy.matching));
        askedBefore.set(policy.matching, asked);
      }
      const start = performance.now();
      const held = await probe.compress(read.cache, policy, budget, settings.calibration, asked?.rows);
      const seconds = (performance.now() - start) / 1000 + (asked?.seconds ?? 0);
      const logits = await probe.forced(held, reference.suffix, reference.answer);
      const { kl, agreement } = divergence(reference.exact, logits, reference.answer.length);
      const { text } = await probe.greedy(held, reference.suffix, answerTokens);
      yield {
        policy: rowPolicy(name, reading),
        budget,
        ...common,
        score: scoreAnswer(text, sample),
        kl: mean(kl),
        agreement,
        bytes_share: heldBytes(held) / heldBytes(reference.full),
        compress_share_of_prefill: seconds / read.prefillSeconds,
        prefill_ratio: read.prefillSeconds / reference.prefillSeconds,
        reading_bytes_share: read.cache.bytes / reference.cache.bytes,
      };
    }
  }
}

/** The full cache beside itself. */
const AS_FULL = {
  kl: 0,
  agreement: 1,
  bytes_share: 1,
  compress_share_of_prefill: 0,
  prefill_ratio: 1,
  reading_bytes_share: 1,
};

function combinations({ policies, budgets, readings }: MeasureSettings) {
  return policies.flatMap((name) =>
    budgets.flatMap((budget) => readings.map((reading) => ({ name, budget, reading }))),
  );
}

/** Reads a prefix for one policy and budget, whose cache it then is. */
async function readMerging(
  { probe, calibration }: MeasureSettings,
  { prefix }: Reference,
  policy: Policy,
  budget: number,
  questions: readonly (readonly number[])[],
): Promise<ReadPrefix> {
  const { layers, kvHeads } = probe.shape;
  const entries = policy.allocate({ tokens: prefix.length, layers, kvHeads }, budget, calibration);
  return timedRead(probe, prefix, policy.needs.attention, { policy, entries, questions });
}

async function timedRead(
  probe: Probe,
  prefix: readonly number[],
  attention: readonly AttentionKind[],
  merging?: MergingRead,
): Promise<ReadPrefix> {
  const start = performance.now();
  const cache = await probe.read(prefix, attention, merging);
  return { cache, prefillSeconds: (performance.now() - start) / 1000 };
}

/** What questions got of a cache, and how long they were run over it for that. */
interface Asked {
  readonly rows: AskedRows | undefined;
  readonly seconds: number;
}

/** @param questions left out where they are not known */
async function ask(
  { probe, calibration }: MeasureSettings,
  cache: ReadingCache,
  prefix: readonly number[],
  questions: readonly (readonly number[])[] | undefined,
  recording: boolean,
): Promise<Asked> {
  const start = performance.now();
  const rows =
    questions === undefined
      ? await probe.scoreStandIns(cache, prefix, calibration, recording)
      : await probe.scoreQuestions(cache, questions, recording);
  return { rows, seconds: (performance.now() - start) / 1000 };
}

async function readReference(
  probe: Probe,
  prefix: readonly number[],
  suffix: readonly number[],
  answerTokens: number,
  { policies, modes }: MeasureSettings,
): Promise<Reference> {
  const read = await timedRead(probe, prefix, kindsNeeded(policies, modes));
  const full = await probe.compress(read.cache, createPolicy('full'), 1);
  const { tokens, text, finishReason } = await probe.greedy(full, suffix, answerTokens);
  const [endOfTurn] = probe.gguf.tokenizer.endOfTurnTokens.slice(-1);
  const answer = finishReason === 'stop' ? [...tokens, endOfTurn as number] : tokens;
  return { ...read, prefix, suffix, full, answer, exact: await probe.forced(full, suffix, answer), text };
}

function kindsNeeded(policies: readonly string[], modes: readonly QualityMode[]): AttentionKind[] {
  const all: Policy[] = modes.flatMap((mode) => policies.map((name) => namedPolicy(name, mode)));
  return [...new Set(all.flatMap((policy) => policy.needs.attention))];
}
