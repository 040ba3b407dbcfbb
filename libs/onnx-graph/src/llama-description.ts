import type { ExternalTensor } from './graph-builder.js';

/** Sizes of a llama-type decoder. */
export interface LlamaShape {
  readonly layers: number;
  readonly hidden: number;
  readonly queryHeads: number;
  readonly kvHeads: number;
  readonly headSize: number;
  /** How many of a head's dimensions RoPE rotates. */
  readonly ropeDimensions: number;
  readonly vocabulary: number;
  readonly contextLength: number;
  readonly rmsEpsilon: number;
}

/** A matrix product's weights, `[rows, columns]` = [outputs, inputs]. */
export type LinearWeight =
  | { readonly kind: 'float'; readonly rows: number; readonly columns: number; readonly weight: ExternalTensor }
  | {
      /** 8-bit blocks of `blockSize` inputs: value = (q - 128) * scale. */
      readonly kind: 'block8';
      readonly rows: number;
      readonly columns: number;
      readonly blockSize: number;
      /** uint8 `[rows, blocks, blockSize]` */
      readonly quantised: ExternalTensor;
      /** float `[rows, blocks]` */
      readonly scales: ExternalTensor;
    }
  | {
      /**
       * 4-bit blocks of `blockSize` inputs: value = (q - zero point) * scale. Behind the inputs come their sums over each block,
       * which have weights of their own.
       */
      readonly kind: 'block4';
      readonly rows: number;
      /** Inputs without these sums. */
      readonly columns: number;
      readonly blockSize: number;
      /** uint8 `[rows, blocks, blockSize / 2]` */
      readonly quantised: ExternalTensor;
      /** float `[rows, blocks]` */
      readonly scales: ExternalTensor;
      /** uint8 `[rows, ceil(blocks / 2)]` */
      readonly zeroPoints: ExternalTensor;
    }
  | {
      /** 8-bit integers with one scale an output: value = q * scale; inputs are quantised to 15 bits with one scale a token. */
      readonly kind: 'int8';
      readonly rows: number;
      readonly columns: number;
      /** int8 `[columns, rows]` */
      readonly quantised: ExternalTensor;
      /** float `[rows]` */
      readonly scales: ExternalTensor;
    };

export interface LayerWeights {
  /** `[hidden]` */
  readonly attentionNorm: ExternalTensor;
  /** Of query, key and value, one below the other: a product takes them as fast as one of them, all but. */
  readonly queryKeyValue: LinearWeight;
  readonly attentionOutput: LinearWeight;
  /** `[hidden]` */
  readonly feedForwardNorm: ExternalTensor;
  readonly gateUp: LinearWeight;
  readonly down: LinearWeight;
}

/** Everything a graph needs to know of a model. */
export interface LlamaDescription {
  readonly shape: LlamaShape;
  /** float `[vocabulary, hidden]` */
  readonly embedding: ExternalTensor;
  readonly layers: readonly LayerWeights[];
  /** The same layers' weights for the prefill graph, where it has weights of its own: it is bound by arithmetic, decoding by memory. */
  readonly prefillLayers?: readonly LayerWeights[];
  /** `[hidden]` */
  readonly outputNorm: ExternalTensor;
  /** The embedding itself where a float model ties them. */
  readonly output: LinearWeight;
  /** float `[contextLength, ropeDimensions / 2]` */
  readonly ropeCosine: ExternalTensor;
  readonly ropeSine: ExternalTensor;
}
