import { createPolicy } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';
import { divergence } from './divergence.js';
import { type HeldHead, type HeldPrefix, holdPrefix } from './held-prefix.js';
import type { Probe } from './probe.js';

/** What a cut head keeps: the attention sinks and what is recent (DuoAttention, arXiv 2410.10819, section 2.2). */
const SINK_TOKENS = 4;
const RECENT_TOKENS = 64;

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
 * How much each KV head matters, `[layers * kvHeads]`: the head alone is cut to sinks and recent tokens, and the KL
 * divergence of the answer's tokens against the full cache is taken, mean 1 over the heads in every sample.
 * @param onHead called after each head of each sample with the share done, in (0, 1]
 */
export async function measureSensitivity(
  probe: Probe,
  samples: readonly CalibrationSample[],
  onHead: (share: number) => void,
): Promise<Float32Array> {
  const { layers, kvHeads } = probe.shape;
  const heads = layers * kvHeads;
  const total = new Float64Array(heads);
  for (const [index, { prefix, suffix, answer }] of samples.entries()) {
    const cache = await probe.read(prefix, []);
    const full = probe.compress(cache, createPolicy('full'), 1);
    const forced = answer.length > 0 ? answer : (await probe.greedy(full, suffix, ANSWER_TOKENS)).tokens;
    if (forced.length === 0) continue;
    const exact = await probe.forced(full, suffix, forced);
    const moved = new Float64Array(heads);
    for (let head = 0; head < heads; head++) {
      const logits = await probe.forced(withHeadCut(probe.shape, full, head), suffix, forced);
      const { kl } = divergence(exact, logits, forced.length);
      moved[head] = kl.reduce((sum, value) => sum + value, 0) / kl.length;
      onHead((index * heads + head + 1) / (samples.length * heads));
    }
    const mean = moved.reduce((sum, value) => sum + value, 0) / heads;
    for (let head = 0; head < heads; head++) total[head]! += moved[head]! / Math.max(mean, 1e-9);
  }
  return Float32Array.from(total, (value) => value / samples.length);
}

function withHeadCut(shape: LlamaShape, full: HeldPrefix, cut: number): HeldPrefix {
  const heads = full.heads.map((head, index) => (index === cut ? cutHead(head, shape.headSize) : head));
  return holdPrefix(shape, full.tokens, heads);
}

function cutHead({ keys, values, logMass }: HeldHead, headSize: number): HeldHead {
  const entries = logMass.length;
  if (entries <= SINK_TOKENS + RECENT_TOKENS) return { keys, values, logMass };
  const ends = (source: Float32Array, size: number): Float32Array => {
    const kept = new Float32Array((SINK_TOKENS + RECENT_TOKENS) * size);
    kept.set(source.subarray(0, SINK_TOKENS * size));
    kept.set(source.subarray((entries - RECENT_TOKENS) * size, entries * size), SINK_TOKENS * size);
    return kept;
  };
  return { keys: ends(keys, headSize), values: ends(values, headSize), logMass: ends(logMass, 1) };
}
