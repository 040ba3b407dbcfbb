import { createPolicy, type HeadCalibration, type Scoring } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';
import { divergence } from './divergence.js';
import { type HeldHead, type HeldPrefix, holdPrefix } from './held-prefix.js';
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

/**
 * How much each KV head matters: that head alone is cut to sinks and recent tokens, then merged to each of
 * `MEASURED_SHARES`, and the KL divergence of the answer's tokens against the full cache is taken. Samples take turns in
 * being merged with their question seen and unseen. Every sample counts the same (mean 1 over the heads).
 * @param onHead called after each head of each sample with the share done, in (0, 1]
 */
export async function measureHeads(
  probe: Probe,
  samples: readonly CalibrationSample[],
  onHead: (share: number) => void,
): Promise<HeadCalibration> {
  const { layers, kvHeads } = probe.shape;
  const heads = layers * kvHeads;
  const sensitivity = new Float64Array(heads);
  const loss = new Float64Array(heads * MEASURED_SHARES.length);
  let measured = 0;
  for (const [index, sample] of samples.entries()) {
    const versions = await headVersions(probe, sample, index % 2 === 0 ? 'questions' : 'window');
    const answer = sample.answer.length > 0 ? sample.answer : await ownAnswer(probe, versions.full, sample.suffix);
    if (answer.length === 0) continue;
    measured++;
    const exact = await probe.forced(versions.full, sample.suffix, answer);
    const moved = new Float64Array(heads * versions.compressed.length);
    for (let head = 0; head < heads; head++) {
      for (const [version, compressed] of versions.compressed.entries()) {
        const held = withHead(probe.shape, versions.full, head, compressed.heads[head] as HeldHead);
        const { kl } = divergence(exact, await probe.forced(held, sample.suffix, answer), answer.length);
        moved[version * heads + head] = kl.reduce((sum, value) => sum + value, 0) / kl.length;
      }
      onHead((index * heads + head + 1) / (samples.length * heads));
    }
    addInMeans(sensitivity, moved.subarray(0, heads), 1, 0, meanOf(moved.subarray(0, heads)));
    const scale = meanOf(moved.subarray(heads, 2 * heads));
    for (let share = 0; share < MEASURED_SHARES.length; share++) {
      const losses = moved.subarray((share + 1) * heads, (share + 2) * heads);
      addInMeans(loss, losses, MEASURED_SHARES.length, share, scale);
    }
  }
  const perSample = (sum: number) => sum / Math.max(measured, 1);
  return {
    sensitivity: Float32Array.from(sensitivity, perSample),
    shares: Float32Array.from(MEASURED_SHARES),
    loss: Float32Array.from(loss, perSample),
  };
}

/** The full cache of a sample; and all of its heads cut, then merged to each share. */
async function headVersions(
  probe: Probe,
  { prefix, suffix }: CalibrationSample,
  scoring: Scoring,
): Promise<{ full: HeldPrefix; compressed: HeldPrefix[] }> {
  const policy = createPolicy('calibrated-merge', { scoring });
  const cache = await probe.read(prefix, policy.needs.attention);
  if (scoring === 'questions') await probe.scoreQuestions(cache, [suffix]);
  const full = probe.compress(cache, createPolicy('full'), 1);
  const cut = holdPrefix(
    probe.shape,
    full.tokens,
    full.heads.map((head) => cutHead(head, probe.shape.headSize)),
  );
  // Without a calibration every head keeps the same.
  return { full, compressed: [cut, ...MEASURED_SHARES.map((share) => probe.compress(cache, policy, share))] };
}

async function ownAnswer(probe: Probe, full: HeldPrefix, suffix: readonly number[]): Promise<readonly number[]> {
  return (await probe.greedy(full, suffix, ANSWER_TOKENS)).tokens;
}

function meanOf(values: Float64Array): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}

/** Adds `values / mean` to every `stride`-th total from `offset` on. */
function addInMeans(total: Float64Array, values: Float64Array, stride: number, offset: number, mean: number): void {
  for (let i = 0; i < values.length; i++) total[i * stride + offset]! += values[i]! / Math.max(mean, 1e-9);
}

function withHead(shape: LlamaShape, full: HeldPrefix, index: number, head: HeldHead): HeldPrefix {
  return holdPrefix(
    shape,
    full.tokens,
    full.heads.map((whole, i) => (i === index ? head : whole)),
  );
}

function cutHead({ keys, values, logMass }: HeldHead, headSize: number): HeldHead {
  const entries = logMass.length;
  if (entries <= SINK_TOKENS + RECENT_TOKENS) return { keys, values, logMass };
  const ends = (source: Float32Array, channels: number): Float32Array => {
    const size = SINK_TOKENS + RECENT_TOKENS;
    const kept = new Float32Array(size * channels);
    for (let channel = 0; channel < channels; channel++) {
      const of = source.subarray(channel * entries, (channel + 1) * entries);
      kept.set(of.subarray(0, SINK_TOKENS), channel * size);
      kept.set(of.subarray(entries - RECENT_TOKENS), channel * size + SINK_TOKENS);
    }
    return kept;
  };
  return { keys: ends(keys, headSize), values: ends(values, headSize), logMass: ends(logMass, 1) };
}
