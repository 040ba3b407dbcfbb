import type { GgufModel } from '@app/gguf-model';
import type { ExternalTensor, LayerWeights, LinearWeight, LlamaDescription } from '@app/onnx-graph';
import { type FourBitBlocks, fourBitBlocks } from './four-bit-blocks.js';
import type { Precision } from './model-files.js';
import { BLOCK_SIZE, quantizeBlocks } from './quantize-blocks.js';
import { quantizeRows } from './quantize-rows.js';
import { ropeTable } from './rope-table.js';
import type { WeightsWriter } from './weights-writer.js';

type Norm = 'attentionNorm' | 'feedForwardNorm';
type Matrix = Exclude<keyof LayerWeights, Norm>;

/** Tensors of a block of a llama-type GGUF, and the matrices made of them. */
const NORMS: Readonly<Record<Norm, string>> = { attentionNorm: 'attn_norm', feedForwardNorm: 'ffn_norm' };
const MATRICES: Readonly<Record<Matrix, MatrixParts>> = {
  queryKeyValue: { name: 'attn_qkv', parts: { attn_q: 'queries', attn_k: 'keys', attn_v: 'keys' }, columns: 'hidden' },
  attentionOutput: { name: 'attn_output', parts: { attn_output: 'hidden' }, columns: 'queries' },
  gateUp: { name: 'ffn_gate_up', parts: { ffn_gate: 'feedForward', ffn_up: 'feedForward' }, columns: 'hidden' },
  down: { name: 'ffn_down', parts: { ffn_down: 'hidden' }, columns: 'feedForward' },
};
/** Tensors that lie one below the other in a matrix, with their outputs. */
interface MatrixParts {
  readonly name: string;
  readonly parts: Readonly<Record<string, Size>>;
  readonly columns: Size;
}
type Size = 'queries' | 'keys' | 'hidden' | 'feedForward';

/** Reads the tensors of a llama-type GGUF one after another, and writes them as the graphs want them. */
export class WeightsLayout {
  constructor(
    private readonly model: GgufModel,
    private readonly writer: WeightsWriter,
    private readonly precision: Precision,
  ) {}

  async write(): Promise<LlamaDescription> {
    const { hyperparameters: h } = this.model;
    const embeddingValues = await this.model.readTensor('token_embd.weight');
    const embedding = await this.writer.append('token_embd', 'float', [h.vocabulary, h.hidden], embeddingValues);
    const layers: LayerWeights[] = [];
    const prefillLayers: LayerWeights[] = [];
    for (let index = 0; index < h.layers; index++) {
      const { layer, prefillLayer } = await this.layer(index);
      layers.push(layer);
      if (prefillLayer !== undefined) prefillLayers.push(prefillLayer);
    }
    const untied = this.model.has('output.weight');
    const output: LinearWeight =
      !untied && this.precision === 'f32'
        ? { kind: 'float', rows: h.vocabulary, columns: h.hidden, weight: embedding }
        : await this.output(untied ? 'output' : 'token_embd');
    const { cosine, sine } = ropeTable(h);
    const ropeDims = [h.contextLength, h.ropeDimensions / 2];
    return {
      shape: {
        layers: h.layers,
        hidden: h.hidden,
        queryHeads: h.queryHeads,
        kvHeads: h.kvHeads,
        headSize: h.headSize,
        ropeDimensions: h.ropeDimensions,
        vocabulary: h.vocabulary,
        contextLength: h.contextLength,
        rmsEpsilon: h.rmsEpsilon,
      },
      embedding,
      layers,
      ...(prefillLayers.length > 0 ? { prefillLayers } : {}),
      outputNorm: await this.vector('output_norm', h.hidden),
      output,
      ropeCosine: await this.writer.append('rope_cosine', 'float', ropeDims, cosine),
      ropeSine: await this.writer.append('rope_sine', 'float', ropeDims, sine),
    };
  }

  /** A layer's weights for all graphs, or for those of decoding where the prefill graph has its own. */
  private async layer(index: number): Promise<{ layer: LayerWeights; prefillLayer: LayerWeights | undefined }> {
    const { hyperparameters: h } = this.model;
    const sizes: Record<Size, number> = {
      queries: h.queryHeads * h.headSize,
      keys: h.kvHeads * h.headSize,
      hidden: h.hidden,
      feedForward: h.feedForward,
    };
    const norms: Partial<Record<Norm, ExternalTensor>> = {};
    for (const [norm, tensor] of Object.entries(NORMS) as [Norm, string][]) {
      norms[norm] = await this.vector(`blk.${index}.${tensor}`, h.hidden);
    }
    const matrices: Partial<Record<Matrix, LinearWeight>> = {};
    const prefillMatrices: Partial<Record<Matrix, LinearWeight>> = {};
    for (const [matrix, { name, parts, columns }] of Object.entries(MATRICES) as [Matrix, MatrixParts][]) {
      const stacked = `blk.${index}.${name}`;
      const rows = Object.values(parts).reduce((sum, size) => sum + sizes[size], 0);
      const values = new Float32Array(rows * sizes[columns]);
      let at = 0;
      for (const tensor of Object.keys(parts)) {
        const part = await this.model.readTensor(`blk.${index}.${tensor}.weight`);
        values.set(part, at);
        at += part.length;
      }
      matrices[matrix] = await this.linear(stacked, values, rows, sizes[columns]);
      if (this.precision === 'q8') {
        prefillMatrices[matrix] = await this.integers(stacked, values, rows, sizes[columns]);
      }
    }
    return {
      layer: { ...norms, ...matrices } as LayerWeights,
      prefillLayer: this.precision === 'q8' ? ({ ...norms, ...prefillMatrices } as LayerWeights) : undefined,
    };
  }

  private async output(tensor: string): Promise<LinearWeight> {
    const { hidden, vocabulary } = this.model.hyperparameters;
    return this.linear('output', await this.model.readTensor(`${tensor}.weight`), vocabulary, hidden);
  }

  private async vector(name: string, size: number): Promise<ExternalTensor> {
    return this.writer.append(name, 'float', [size], await this.model.readTensor(`${name}.weight`));
  }

  private async linear(name: string, values: Float32Array, rows: number, columns: number): Promise<LinearWeight> {
    if (this.precision === 'f32') {
      return { kind: 'float', rows, columns, weight: await this.writer.append(name, 'float', [rows, columns], values) };
    }
    const four = fourBitBlocks(values, rows, columns);
    if (four !== undefined) return this.fourBits(name, four, rows, columns);
    const { codes, scales } = quantizeBlocks(values, rows, columns);
    const blocks = Math.ceil(columns / BLOCK_SIZE);
    return {
      kind: 'block8',
      rows,
      columns,
      blockSize: BLOCK_SIZE,
      quantised: await this.writer.append(`${name}.q8`, 'uint8', [rows, blocks, BLOCK_SIZE], codes),
      scales: await this.writer.append(`${name}.scales`, 'float', [rows, blocks], scales),
    };
  }

  private async fourBits(
    name: string,
    { codes, scales, zeroPoints }: FourBitBlocks,
    rows: number,
    columns: number,
  ): Promise<LinearWeight> {
    const blocks = scales.length / rows;
    return {
      kind: 'block4',
      rows,
      columns,
      blockSize: BLOCK_SIZE,
      quantised: await this.writer.append(`${name}.q4`, 'uint8', [rows, blocks, BLOCK_SIZE / 2], codes),
      scales: await this.writer.append(`${name}.scales`, 'float', [rows, blocks], scales),
      zeroPoints: await this.writer.append(`${name}.zeros`, 'uint8', [rows, Math.ceil(blocks / 2)], zeroPoints),
    };
  }

  private async integers(name: string, values: Float32Array, rows: number, columns: number): Promise<LinearWeight> {
    const { codes, scales } = quantizeRows(values, rows, columns);
    return {
      kind: 'int8',
      rows,
      columns,
      quantised: await this.writer.append(`${name}.int8`, 'int8', [columns, rows], codes),
      scales: await this.writer.append(`${name}.row_scales`, 'float', [rows], scales),
    };
  }
}
