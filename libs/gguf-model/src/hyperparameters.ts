import {
  GgufMetadataError,
  MixtureOfExpertsError,
  SplitGgufError,
  UnsupportedArchitectureError,
  UnsupportedRopeScalingError,
} from './errors.js';
import type { Metadata } from './metadata.js';

/** Shape and constants of a llama model. All sizes in elements. */
export interface LlamaHyperparameters {
  readonly layers: number;
  /** Width of the residual stream. */
  readonly hidden: number;
  readonly queryHeads: number;
  /** Divides queryHeads. */
  readonly kvHeads: number;
  readonly headSize: number;
  /** Inner width of the feed-forward block. */
  readonly feedForward: number;
  /** Rows of the embedding. */
  readonly vocabulary: number;
  /** Tokens the model was trained to read. */
  readonly contextLength: number;
  readonly ropeBase: number;
  /**
   * Rotated dimensions of a head, even, at most headSize. GGUF stores llama's q and k so that the pairs (2i, 2i + 1)
   * rotate together.
   */
  readonly ropeDimensions: number;
  /** Positions are divided by it; 1 = no scaling. */
  readonly ropeScale: number;
  /** From tensor rope_freqs.weight: [ropeDimensions / 2], divides the angle of each pair. */
  readonly ropeFrequencyFactors: Float32Array | undefined;
  readonly rmsEpsilon: number;
}

/** Stops a layer count that would make the tensor checks loop; the largest llama has 126. */
export const MAX_LAYERS = 1_024;
/** Stops widths whose products overflow; the largest llama has 16,384, its feed-forward 53,248. */
export const MAX_WIDTH = 1 << 20;
const MAX_CONTEXT = 1 << 27;

/** Reads the hyperparameters; the frequency factors come later, from a tensor. Throws a named error for what is not a plain llama. */
export function readHyperparameters(metadata: Metadata, vocabulary: number): LlamaHyperparameters {
  refuseOtherModels(metadata);
  const size = (key: string, most = MAX_WIDTH) => metadata.count(`llama.${key}`, 1, most);
  const needed = (key: string, most = MAX_WIDTH) => metadata.required(`llama.${key}`, size(key, most));

  const hidden = needed('embedding_length');
  const queryHeads = needed('attention.head_count');
  const kvHeads = size('attention.head_count_kv') ?? queryHeads;
  const headSize = size('attention.key_length') ?? hidden / queryHeads;
  const ropeDimensions = size('rope.dimension_count') ?? headSize;
  const epsilonKey = 'llama.attention.layer_norm_rms_epsilon';
  const result: LlamaHyperparameters = {
    layers: needed('block_count', MAX_LAYERS),
    hidden,
    queryHeads,
    kvHeads,
    headSize,
    feedForward: needed('feed_forward_length'),
    vocabulary,
    contextLength: needed('context_length', MAX_CONTEXT),
    ropeBase: metadata.number('llama.rope.freq_base') ?? 10_000,
    ropeDimensions,
    ropeScale: readRopeScale(metadata),
    ropeFrequencyFactors: undefined,
    rmsEpsilon: metadata.required(epsilonKey, metadata.number(epsilonKey)),
  };

  const require = (holds: boolean, expected: string, found: string) => {
    if (holds) return;
    throw new GgufMetadataError({
      where: metadata.path,
      expected,
      found,
      advice: 'The metadata contradicts itself: convert the model again.',
    });
  };
  require(Number.isInteger(headSize), 'heads that divide the width', `${queryHeads} heads in ${hidden} elements`);
  require(queryHeads % kvHeads === 0, 'KV heads that divide the query heads', `${kvHeads} of ${queryHeads}`);
  const valueSize = size('attention.value_length') ?? headSize;
  require(valueSize === headSize, `values as wide as keys (${headSize})`, `${valueSize}`);
  require(ropeDimensions % 2 === 0 &&
    ropeDimensions <= headSize, `an even number of rotated dimensions, at most ${headSize}`, `${ropeDimensions}`);
  require(result.ropeBase > 0, 'a positive RoPE base', `${result.ropeBase}`);
  require(result.rmsEpsilon > 0, 'a positive RMS norm epsilon', `${result.rmsEpsilon}`);
  return result;
}

function refuseOtherModels(metadata: Metadata): void {
  const where = metadata.path;
  const parts = metadata.count('split.count', 0, 65_535) ?? 0;
  if (parts > 1) {
    throw new SplitGgufError({
      where,
      expected: 'a model in one file',
      found: `one of ${parts} parts`,
      advice: 'Join the parts with llama-gguf-split --merge of llama.cpp.',
    });
  }
  const architecture = metadata.required('general.architecture', metadata.string('general.architecture'));
  if (architecture !== 'llama') {
    throw new UnsupportedArchitectureError({
      where,
      expected: 'general.architecture llama',
      found: JSON.stringify(architecture),
      advice: 'Choose a model of the llama family (Llama 2/3, SmolLM2, Mistral and the like).',
    });
  }
  const experts = metadata.count('llama.expert_count', 0, 65_535) ?? 0;
  if (experts > 0) {
    throw new MixtureOfExpertsError({
      where,
      expected: 'a dense model (llama.expert_count absent or 0)',
      found: `${experts} experts`,
      advice: 'Mixture-of-experts models are not supported: choose a dense one.',
    });
  }
}

/** `llama.rope.scaling.*`, and the older `llama.rope.scale_linear`; the default type is linear, as in llama.cpp. */
function readRopeScale(metadata: Metadata): number {
  const type = metadata.string('llama.rope.scaling.type') ?? 'linear';
  const attention = metadata.number('llama.rope.scaling.attn_factor') ?? 1;
  if ((type !== 'none' && type !== 'linear') || attention !== 1) {
    throw new UnsupportedRopeScalingError({
      where: metadata.path,
      expected: 'RoPE scaling none or linear, or frequency factors in rope_freqs.weight',
      found: attention === 1 ? JSON.stringify(type) : `an attention factor of ${attention}`,
      advice: 'Choose a model (or a conversion of it) without this scaling.',
    });
  }
  if (type === 'none') return 1;
  const factor = metadata.number('llama.rope.scaling.factor') ?? metadata.number('llama.rope.scale_linear') ?? 0;
  if (factor < 0) {
    throw new UnsupportedRopeScalingError({
      where: metadata.path,
      expected: 'a positive RoPE scaling factor',
      found: String(factor),
      advice: 'The metadata is damaged: convert the model again.',
    });
  }
  return factor === 0 ? 1 : factor; // 0 means unset, as in llama.cpp
}
