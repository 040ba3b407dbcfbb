import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GgufModel } from '@app/gguf-model';
import {
  buildGraph,
  type ExternalTensor,
  type LayerWeights,
  type LinearWeight,
  type LlamaDescription,
  type Phase,
} from '@app/onnx-graph';
import { BLOCK_SIZE, quantizeBlocks } from './quantize-blocks.js';
import { ropeTable } from './rope-table.js';
import { WeightsWriter } from './weights-writer.js';

/** `f32`: exact. `q8`: 8-bit blocks of 32 for weights and activations of every matrix product. */
export type Precision = 'f32' | 'q8';

/** Raised when what is written to `weights.bin` changes, so that older files are not read. */
const WEIGHTS_VERSION = 1;
const WEIGHTS_FILE = 'weights.bin';
const DESCRIPTION_FILE = 'description.json';

/** A model's weights and graphs on disk, made once and found again by the hash of the model file. */
export class ModelFiles {
  private constructor(
    readonly directory: string,
    readonly description: LlamaDescription,
  ) {}

  /** Finds or makes the files under `cacheDir`. Safe to call from several processes at once: files appear whole. */
  static async prepare(model: GgufModel, cacheDir: string, precision: Precision): Promise<ModelFiles> {
    const hash = await model.contentHash();
    const directory = join(cacheDir, `${hash.slice(0, 16)}-${precision}-${WEIGHTS_VERSION}`);
    const held = await readDescription(directory);
    return new ModelFiles(directory, held ?? (await writeWeights(model, directory, precision)));
  }

  /** Path of a phase's graph, which lies beside the weights it refers to. */
  async graph(phase: Phase): Promise<string> {
    const bytes = buildGraph(this.description, phase);
    const path = join(this.directory, `${phase}-${createHash('sha256').update(bytes).digest('hex').slice(0, 16)}.onnx`);
    if ((await sizeOf(path)) !== bytes.length) await writeWhole(path, bytes);
    return path;
  }
}

interface HeldDescription {
  readonly weightsBytes: number;
  readonly description: LlamaDescription;
}

async function readDescription(directory: string): Promise<LlamaDescription | undefined> {
  const text = await readFile(join(directory, DESCRIPTION_FILE), 'utf8').catch(() => undefined);
  if (text === undefined) return undefined;
  const held = JSON.parse(text) as HeldDescription;
  const size = await sizeOf(join(directory, WEIGHTS_FILE));
  return size === held.weightsBytes ? shareTiedOutput(held.description) : undefined;
}

/** JSON makes two objects of a tensor that embedding and output share; graphs recognise a shared tensor by identity. */
function shareTiedOutput(description: LlamaDescription): LlamaDescription {
  const { embedding, output } = description;
  if (output.kind !== 'float' || output.weight.name !== embedding.name) return description;
  return { ...description, output: { ...output, weight: embedding } };
}

async function writeWeights(model: GgufModel, directory: string, precision: Precision): Promise<LlamaDescription> {
  await mkdir(directory, { recursive: true });
  const temporary = join(directory, `${WEIGHTS_FILE}.${randomUUID()}`);
  const writer = await WeightsWriter.create(temporary, WEIGHTS_FILE);
  try {
    const description = await new WeightsLayout(model, writer, precision).write();
    const weightsBytes = await writer.finish();
    await rename(temporary, join(directory, WEIGHTS_FILE));
    const held: HeldDescription = { weightsBytes, description };
    await writeWhole(join(directory, DESCRIPTION_FILE), new TextEncoder().encode(JSON.stringify(held)));
    return description;
  } catch (error) {
    await writer.abandon();
    await rm(temporary, { force: true });
    throw error;
  }
}

/** Reads the tensors of a llama-type GGUF one after another, and writes them as the graphs want them. */
class WeightsLayout {
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
    for (let index = 0; index < h.layers; index++) layers.push(await this.layer(index));
    const untied = this.model.has('output.weight');
    const output: LinearWeight =
      !untied && this.precision === 'f32'
        ? { kind: 'float', rows: h.vocabulary, columns: h.hidden, weight: embedding }
        : await this.linear(untied ? 'output' : 'token_embd', h.vocabulary, h.hidden, 'output');
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
      outputNorm: await this.vector('output_norm', h.hidden),
      output,
      ropeCosine: await this.writer.append('rope_cosine', 'float', ropeDims, cosine),
      ropeSine: await this.writer.append('rope_sine', 'float', ropeDims, sine),
    };
  }

  private async layer(index: number): Promise<LayerWeights> {
    const { hyperparameters: h } = this.model;
    const [queryRows, keyRows] = [h.queryHeads * h.headSize, h.kvHeads * h.headSize];
    const at = `blk.${index}`;
    return {
      attentionNorm: await this.vector(`${at}.attn_norm`, h.hidden),
      query: await this.linear(`${at}.attn_q`, queryRows, h.hidden),
      key: await this.linear(`${at}.attn_k`, keyRows, h.hidden),
      value: await this.linear(`${at}.attn_v`, keyRows, h.hidden),
      attentionOutput: await this.linear(`${at}.attn_output`, h.hidden, queryRows),
      feedForwardNorm: await this.vector(`${at}.ffn_norm`, h.hidden),
      gate: await this.linear(`${at}.ffn_gate`, h.feedForward, h.hidden),
      up: await this.linear(`${at}.ffn_up`, h.feedForward, h.hidden),
      down: await this.linear(`${at}.ffn_down`, h.hidden, h.feedForward),
    };
  }

  private async vector(name: string, size: number): Promise<ExternalTensor> {
    return this.writer.append(name, 'float', [size], await this.model.readTensor(`${name}.weight`));
  }

  private async linear(name: string, rows: number, columns: number, as = name): Promise<LinearWeight> {
    const values = await this.model.readTensor(`${name}.weight`);
    if (this.precision === 'f32') {
      return { kind: 'float', rows, columns, weight: await this.writer.append(as, 'float', [rows, columns], values) };
    }
    const { codes, scales } = quantizeBlocks(values, rows, columns);
    const blocks = Math.ceil(columns / BLOCK_SIZE);
    return {
      kind: 'block8',
      rows,
      columns,
      blockSize: BLOCK_SIZE,
      quantised: await this.writer.append(`${as}.q8`, 'uint8', [rows, blocks, BLOCK_SIZE], codes),
      scales: await this.writer.append(`${as}.scales`, 'float', [rows, blocks], scales),
    };
  }
}

async function writeWhole(path: string, bytes: Uint8Array): Promise<void> {
  const temporary = `${path}.${randomUUID()}`;
  await writeFile(temporary, bytes);
  await rename(temporary, path);
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    (found) => found.size,
    () => undefined,
  );
}
