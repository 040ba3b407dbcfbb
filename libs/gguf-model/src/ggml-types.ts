import * as k from './dequantise-k.js';
import * as plain from './dequantise-plain.js';

/** How one ggml type lies in the file, and how to unpack it. */
export interface GgmlType {
  readonly name: string;
  /** Values in one block. */
  readonly blockSize: number;
  /** Bytes of one block. */
  readonly blockBytes: number;
  readonly dequantise: plain.Dequantiser;
}

/** By the type number of GGUF tensor infos (`enum ggml_type` of ggml.h). */
export const GGML_TYPES: ReadonlyMap<number, GgmlType> = new Map([
  [0, { name: 'F32', blockSize: 1, blockBytes: 4, dequantise: plain.dequantiseF32 }],
  [1, { name: 'F16', blockSize: 1, blockBytes: 2, dequantise: plain.dequantiseF16 }],
  [2, { name: 'Q4_0', blockSize: 32, blockBytes: 18, dequantise: plain.dequantiseQ4_0 }],
  [3, { name: 'Q4_1', blockSize: 32, blockBytes: 20, dequantise: plain.dequantiseQ4_1 }],
  [6, { name: 'Q5_0', blockSize: 32, blockBytes: 22, dequantise: plain.dequantiseQ5_0 }],
  [7, { name: 'Q5_1', blockSize: 32, blockBytes: 24, dequantise: plain.dequantiseQ5_1 }],
  [8, { name: 'Q8_0', blockSize: 32, blockBytes: 34, dequantise: plain.dequantiseQ8_0 }],
  [10, { name: 'Q2_K', blockSize: 256, blockBytes: 84, dequantise: k.dequantiseQ2_K }],
  [11, { name: 'Q3_K', blockSize: 256, blockBytes: 110, dequantise: k.dequantiseQ3_K }],
  [12, { name: 'Q4_K', blockSize: 256, blockBytes: 144, dequantise: k.dequantiseQ4_K }],
  [13, { name: 'Q5_K', blockSize: 256, blockBytes: 176, dequantise: k.dequantiseQ5_K }],
  [14, { name: 'Q6_K', blockSize: 256, blockBytes: 210, dequantise: k.dequantiseQ6_K }],
  [20, { name: 'IQ4_NL', blockSize: 32, blockBytes: 18, dequantise: plain.dequantiseIQ4_NL }],
  [23, { name: 'IQ4_XS', blockSize: 256, blockBytes: 136, dequantise: k.dequantiseIQ4_XS }],
  [30, { name: 'BF16', blockSize: 1, blockBytes: 2, dequantise: plain.dequantiseBF16 }],
]);
