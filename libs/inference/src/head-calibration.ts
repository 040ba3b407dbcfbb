import { createPolicy, type HeadCalibration, type Scoring } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';
import { divergence } from './divergence.js';
import { type HeldEntries, type HeldHead, type HeldPrefix, holdPrefix } from './held-prefix.js';
import type { Probe } from './probe.js';

/** What a cut head keeps: the attention sinks and what is recent (DuoAttention, arXiv 2410.10819, section 2.2). */
const SINK_TOKENS = 4;
const RECENT_TOKENS = 64;

/** Kept shares at which a head's loss is measured: each about 2.5 times the one before. */
export const MEASURED_SHARES = [0.01, 0.025, 0.06, 0.15, 0.35] as const;

/** A document, what follows it, and the answer whose probability is watched; all token ids. */
export interface CalibrationSample {
  readonly prefix: readonly number[];
  readonly suffix: readonly number[];
  /** Empty: the model's own greedy answer. */
  readonly answer: readonly number[];
}

/** Tokens of an answer that the model gives itself. */
const ANSWER_TOKENS = 24;

/** What one sample says of every head, each figure divided by its mean over the heads, so that all samples count the same. */
export interface SampleMeasure {
  /** `[layers * kvHeads]` */
  readonly sensitivity: Float64Array;
  /** `[layers * kvHeads, MEASURED_SHARES]` */
  readonly loss: Float64Array;
}

/**
 * How much each KV head matters to one sample: that head alone is cut to sinks and recent tokens, then merged to each of
 * `MEASURED_SHARES`, and the KL divergence of the answer's tokens against the full cache is taken.
 * @param scoring whose attention decides what is merged
 * @param onHead called after each head
 * @returns undefined where the model has no answer of its own
 */
export async function measureSample(
  probe: Probe,
  sample: CalibrationSample,
  scoring: Scoring,
  onHead: () => void,
): Promise<SampleMeasure | undefined> {
  const heads = probe.shape.layers * probe.shape.kvHeads;
  const { full, compressed } = await headVersions(probe, sample, scoring);
  const answer = sample.answer.length > 0 ? sample.answer : await ownAnswer(probe, full, sample.suffix);
  if (answer.length === 0) return undefined;
  const exact = await probe.forced(full, sample.suffix, answer);
  const moved = compressed.map(() => new Float64Array(heads));
  for (let head = 0; head < heads; head++) {
    for (const [version, { heads: changed }] of compressed.entries()) {
      const held = withHead(probe.shape, full, head, changed[head] as HeldHead);
      const { kl } = divergence(exact, await probe.forced(held, sample.suffix, answer), answer.length);
      moved[version]![head] = kl.reduce((sum, value) => sum + value, 0) / kl.length;
    }
    onHead();
  }
  const [cut, ...merged] = moved as [Float64Array, Float64Array, ...Float64Array[]];
  const [cutMean, mergedMean] = [meanOf(cut), meanOf(merged[0])];
  return {
    sensitivity: cut.map((kl) => kl / cutMean),
    loss: Float64Array.from({ length: heads * merged.length }, (_, i) => {
      return merged[i % merged.length]![Math.floor(i / merged.length)]! / mergedMean;
    }),
  };
}

/** The mean of what the samples say, at least one. */
export function calibrationOf(measures: readonly SampleMeasure[]): HeadCalibration {
  const mean = (of: (measure: SampleMeasure) => Float64Array) =>
    Float32Array.from(of(measures[0] as SampleMeasure), (_, i) => {
      return measures.reduce((sum, measure) => sum + of(measure)[i]!, 0) / measures.length;
    });
  return {
    sensitivity: mean(({ sensitivity }) => sensitivity),
    shares: Float32Array.from(MEASURED_SHARES),
    loss: mean(({ loss }) => loss),
  };
}

/** The full cache of a sample; and all of its heads cut, then merged to each share. */
async function headVersions(
  probe: Probe,
  { prefix, suffix }: CalibrationSample,
  scoring: Scoring,
): Promise<{ full: HeldPrefix; compressed: HeldPrefix[] }> {
  const policy = createPolicy('calibrated-merge', { scoring, matching: false });
  const cache = await probe.read(prefix, policy.needs.attention);
  if (scoring === 'questions') await probe.scoreQuestions(cache, [suffix]);
  const full = await probe.compress(cache, createPolicy('full'), 1);
  const cut = holdPrefix(
    probe.shape,
    full.tokens,
    full.heads.map((head) => cutHead(head, probe.shape.headSize)),
  );
  // Without a calibration every head keeps the same.
  const compressed = [cut];
  for (const share of MEASURED_SHARES) compressed.push(await probe.compress(cache, policy, share));
  return { full, compressed };
}

async function ownAnswer(probe: Probe, full: HeldPrefix, suffix: readonly number[]): Promise<readonly number[]> {
  return (await probe.greedy(full, suffix, ANSWER_TOKENS)).tokens;
}

/** Above 0, so that it can be divided by. */
function meanOf(values: Float64Array): number {
  return Math.max(values.reduce((sum, value) => sum + value, 0) / values.length, 1e-9);
}

function withHead(shape: LlamaShape, full: HeldPrefix, index: number, head: HeldHead): HeldPrefix {
  return holdPrefix(
    shape,
    full.tokens,
    full.heads.map((whole, i) => (i === index ? head : whole)),
  );
}

function cutHead(head: HeldHead, headSize: number): HeldHead {
  if (head.entries <= SINK_TOKENS + RECENT_TOKENS) return head;
  // Entry 0 is none of the prefix's, see `HeldHead`.
  const [entries, first, kept] = [1 + head.entries, 1 + SINK_TOKENS, 1 + SINK_TOKENS + RECENT_TOKENS];
  /** Of `[rows, entries, columns]`. */
  const ends = (source: HeldEntries, rows: number, columns: number): HeldEntries => {
    const cut = source.slice(0, rows * kept * columns);
    for (let row = 0; row < rows; row++) {
      const of = source.subarray(row * entries * columns, (row + 1) * entries * columns);
      const to = row * kept * columns;
      cut.set(of.subarray(0, first * columns), to);
      cut.set(of.subarray((entries - RECENT_TOKENS) * columns), to + first * columns);
    }
    return cut;
  };
  return {
    entries: SINK_TOKENS + RECENT_TOKENS,
    keys: ends(head.keys, 1, head.keys.length / entries),
    values: ends(head.values, headSize, 1),
  };
}
