import { createHash, randomUUID } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { GgufModel } from '@app/gguf-model';
import { buildGraph, type GraphOptions, type LlamaDescription, type Phase } from '@app/onnx-graph';
import { WeightsLayout } from './weights-layout.js';
import { WeightsWriter } from './weights-writer.js';

/**
 * `f32`: exact.
 * `q8`: 8-bit weights. Decoding takes them in blocks of 32, in 4 bits where the model file has no more, inputs quantised in the same blocks; reading takes them with one
 * scale an output, inputs quantised to 15 bits token by token.
 */
export type Precision = 'f32' | 'q8';

/** Raised when what is written to `weights.bin` changes, so that older files are not read. */
const WEIGHTS_VERSION = 4;
const WEIGHTS_FILE = 'weights.bin';
const DESCRIPTION_FILE = 'description.json';
/** A file that has not grown for so long is nobody's any more. */
const ABANDONED_AFTER_MS = 10 * 60_000;

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
  async graph(phase: Phase, options: GraphOptions): Promise<string> {
    const bytes = buildGraph(this.description, phase, options);
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
  await removeAbandoned(directory);
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

/** Weights that a process did not finish: one that is killed can't take them away, and they are as large as the model. */
async function removeAbandoned(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (!name.startsWith(`${WEIGHTS_FILE}.`)) continue;
    const path = join(directory, name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_AFTER_MS) await rm(path, { force: true });
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
