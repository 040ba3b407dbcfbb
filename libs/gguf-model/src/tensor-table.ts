import {
  GgufLimitError,
  GgufMetadataError,
  MissingTensorError,
  TensorShapeError,
  TruncatedGgufError,
  UnexpectedTensorError,
  UnsupportedTensorTypeError,
} from './errors.js';
import { GGML_TYPES, type GgmlType } from './ggml-types.js';
import type { LlamaHyperparameters } from './hyperparameters.js';

/** A tensor's info as the GGUF parser gives it: `shape` innermost dimension first, `offset` from the start of the data. */
export interface ParsedTensorInfo {
  readonly name: string;
  readonly shape: readonly bigint[];
  readonly dtype: number;
  readonly offset: bigint;
}

/** One tensor, checked against the file's size. */
export interface StoredTensor {
  readonly name: string;
  /** Row-major: [rows, columns] or [length]. */
  readonly shape: readonly number[];
  readonly type: GgmlType;
  /** Position in the file, bytes. */
  readonly offset: number;
  readonly bytes: number;
  readonly elements: number;
}

/** Stops a tensor whose float32 form no typed array holds; the largest real one here is an embedding of about 2^30. */
export const MAX_TENSOR_ELEMENTS = 2 ** 31;
/** Stops an alignment that puts the data anywhere; real files use 32. */
export const MAX_ALIGNMENT = 65_536;

/** Where tensor data starts: the end of the header, rounded up to `general.alignment` (a power of two, bytes). */
export function dataStart(path: string, headerBytes: number, alignment: number): number {
  if (alignment < 1 || alignment > MAX_ALIGNMENT || !Number.isInteger(Math.log2(alignment))) {
    throw new GgufMetadataError({
      where: path,
      expected: `general.alignment to be a power of two up to ${MAX_ALIGNMENT}`,
      found: String(alignment),
      advice: 'The file is damaged: download the model again.',
    });
  }
  return Math.ceil(headerBytes / alignment) * alignment;
}

/** Checks type and place of every tensor. Throws for a type without dequantiser and for data past the end of the file. */
export function readTensorTable(
  path: string,
  infos: readonly ParsedTensorInfo[],
  start: number,
  fileBytes: number,
): ReadonlyMap<string, StoredTensor> {
  const table = new Map<string, StoredTensor>();
  for (const info of infos) {
    const type = GGML_TYPES.get(info.dtype);
    if (type === undefined) {
      throw new UnsupportedTensorTypeError({
        where: path,
        expected: `${info.name} in one of the ggml types ${[...GGML_TYPES.values()].map((t) => t.name).join(', ')}`,
        found: `type number ${info.dtype}`,
        advice: 'Choose another quantisation of the model, for example Q4_K_M or Q8_0.',
      });
    }
    const shape = info.shape.map(Number).reverse();
    const elements = shape.reduce((product, size) => product * size, 1);
    if (elements > MAX_TENSOR_ELEMENTS) {
      throw new GgufLimitError({
        where: path,
        expected: `at most ${MAX_TENSOR_ELEMENTS} elements in ${info.name}`,
        found: `${elements}`,
        advice: 'The file is damaged or hostile: download the model again from a source you trust.',
      });
    }
    const columns = shape.at(-1) ?? 1;
    if (elements === 0 || columns % type.blockSize !== 0) {
      throw new TensorShapeError({
        where: path,
        expected: `rows of ${info.name} to be a multiple of ${type.blockSize} (${type.name})`,
        found: `shape [${shape.join(', ')}]`,
        advice: 'The file is damaged: download the model again.',
      });
    }
    const bytes = (elements / type.blockSize) * type.blockBytes;
    const offset = start + Number(info.offset);
    if (offset + bytes > fileBytes) {
      throw new TruncatedGgufError({
        where: path,
        expected: `at least ${offset + bytes} bytes to hold ${info.name}`,
        found: `a file of ${fileBytes} bytes`,
        advice: 'The download is incomplete: fetch the model again.',
      });
    }
    table.set(info.name, { name: info.name, shape, type, offset, bytes, elements });
  }
  return table;
}

/** Tensors of a llama model by name, with their row-major shapes. */
export function llamaTensorShapes(h: LlamaHyperparameters): ReadonlyMap<string, readonly number[]> {
  const shapes = new Map<string, readonly number[]>();
  const queryWidth = h.queryHeads * h.headSize;
  const kvWidth = h.kvHeads * h.headSize;
  shapes.set('token_embd.weight', [h.vocabulary, h.hidden]);
  for (let layer = 0; layer < h.layers; layer++) {
    const block = `blk.${layer}`;
    shapes.set(`${block}.attn_norm.weight`, [h.hidden]);
    shapes.set(`${block}.attn_q.weight`, [queryWidth, h.hidden]);
    shapes.set(`${block}.attn_k.weight`, [kvWidth, h.hidden]);
    shapes.set(`${block}.attn_v.weight`, [kvWidth, h.hidden]);
    shapes.set(`${block}.attn_output.weight`, [h.hidden, queryWidth]);
    shapes.set(`${block}.ffn_norm.weight`, [h.hidden]);
    shapes.set(`${block}.ffn_gate.weight`, [h.feedForward, h.hidden]);
    shapes.set(`${block}.ffn_up.weight`, [h.feedForward, h.hidden]);
    shapes.set(`${block}.ffn_down.weight`, [h.hidden, h.feedForward]);
  }
  shapes.set('output_norm.weight', [h.hidden]);
  return shapes;
}

/** Tensors that may be absent: an untied output matrix, RoPE frequency factors. */
export function optionalTensorShapes(h: LlamaHyperparameters): ReadonlyMap<string, readonly number[]> {
  return new Map([
    ['output.weight', [h.vocabulary, h.hidden]],
    ['rope_freqs.weight', [h.ropeDimensions / 2]],
  ]);
}

/** Checks that the file holds exactly a llama model's tensors, each in its shape. */
export function checkLlamaTensors(
  path: string,
  table: ReadonlyMap<string, StoredTensor>,
  hyperparameters: LlamaHyperparameters,
): void {
  const needed = llamaTensorShapes(hyperparameters);
  const optional = optionalTensorShapes(hyperparameters);
  for (const name of needed.keys()) {
    if (!table.has(name)) throw missingTensor(path, name);
  }
  for (const { name, shape } of table.values()) {
    const expected = needed.get(name) ?? optional.get(name);
    if (expected === undefined) {
      throw new UnexpectedTensorError({
        where: path,
        expected: 'only the tensors of a plain llama model',
        found: JSON.stringify(name),
        advice: 'Models with biases, adapters or other extra tensors are not supported: choose another.',
      });
    }
    if (expected.join() !== shape.join()) {
      throw new TensorShapeError({
        where: path,
        expected: `${name} of shape [${expected.join(', ')}]`,
        found: `[${shape.join(', ')}]`,
        advice: 'Metadata and tensors contradict each other: convert the model again.',
      });
    }
  }
}

export function missingTensor(path: string, name: string): MissingTensorError {
  return new MissingTensorError({
    where: path,
    expected: `tensor ${name}`,
    found: 'none of that name',
    advice: 'The file is not a complete llama model: convert or download it again.',
  });
}
