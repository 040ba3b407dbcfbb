import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { pipeline } from 'node:stream/promises';
import { gguf } from '@huggingface/gguf';
import { buildChatTemplate, type ChatTemplate } from './chat-template.js';
import { GgufMetadataError, TruncatedGgufError } from './errors.js';
import { scanHeader } from './header-scan.js';
import { type LlamaHyperparameters, readHyperparameters } from './hyperparameters.js';
import { Metadata } from './metadata.js';
import {
  checkLlamaTensors,
  dataStart,
  missingTensor,
  type ParsedTensorInfo,
  readTensorTable,
  type StoredTensor,
} from './tensor-table.js';
import { buildTokenizer, type Tokenizer } from './tokenizer.js';
import { readVocabulary } from './vocabulary.js';

const FREQUENCY_FACTORS = 'rope_freqs.weight';

/**
 * An open GGUF file of a llama model with a byte-level BPE tokenizer. Opening reads the header only (some MB at most)
 * and checks every tensor's type, shape and place; tensor data is read when asked for.
 */
export class GgufModel {
  private hash: Promise<string> | undefined;

  private constructor(
    readonly path: string,
    readonly hyperparameters: LlamaHyperparameters,
    /** `general.name` of the file. */
    readonly name: string | undefined,
    readonly tokenizer: Tokenizer,
    readonly chatTemplate: ChatTemplate,
    private readonly tensors: ReadonlyMap<string, StoredTensor>,
    private readonly file: FileHandle,
  ) {}

  /** Opens `path`. Throws a subclass of {@link GgufError} for every file that is not a complete, supported model. */
  static async open(path: string): Promise<GgufModel> {
    const { fileBytes, headerBytes } = scanHeader(path);
    const parsed = await parseHeader(path);
    const metadata = new Metadata(path, parsed.metadata);
    const tokenCount = metadata.strings('tokenizer.ggml.tokens')?.length ?? 0;
    const hyperparameters = readHyperparameters(metadata, tokenCount);
    const vocabulary = readVocabulary(metadata);
    const start = dataStart(path, headerBytes, metadata.number('general.alignment') ?? 32);
    const tensors = readTensorTable(path, parsed.tensorInfos, start, fileBytes);
    checkLlamaTensors(path, tensors, hyperparameters);
    const tokenizer = buildTokenizer(vocabulary);
    const chatTemplate = buildChatTemplate(metadata.string('tokenizer.chat_template'), vocabulary, tokenizer);
    const name = metadata.string('general.name');

    const file = await open(path, 'r');
    try {
      const factors = tensors.get(FREQUENCY_FACTORS);
      const ropeFrequencyFactors = factors && (await readFloats(path, file, factors));
      return new GgufModel(
        path,
        { ...hyperparameters, ropeFrequencyFactors },
        name,
        tokenizer,
        chatTemplate,
        tensors,
        file,
      );
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** Whether the file holds tensor `name`, for example the optional `output.weight`. */
  has(name: string): boolean {
    return this.tensors.has(name);
  }

  /** Row-major shape: [rows, columns] of a matrix, [length] of a vector. Throws {@link MissingTensorError}. */
  tensorShape(name: string): readonly number[] {
    return this.tensor(name).shape;
  }

  /** Values of tensor `name`, dequantised, row-major; a fresh array. Throws {@link MissingTensorError}. */
  async readTensor(name: string): Promise<Float32Array> {
    return readFloats(this.path, this.file, this.tensor(name));
  }

  /** SHA-256 of the whole file, hex; computed once, streamed. */
  contentHash(): Promise<string> {
    this.hash ??= hashFile(this.path);
    return this.hash;
  }

  /** Closes the file; tensors can no longer be read. */
  async close(): Promise<void> {
    await this.file.close();
  }

  private tensor(name: string): StoredTensor {
    const tensor = this.tensors.get(name);
    if (tensor === undefined) throw missingTensor(this.path, name);
    return tensor;
  }
}

async function parseHeader(path: string): Promise<{
  readonly metadata: Readonly<Record<string, unknown>>;
  readonly tensorInfos: readonly ParsedTensorInfo[];
}> {
  try {
    const { metadata, tensorInfos } = await gguf(path, { allowLocalFile: true });
    return { metadata: { ...metadata }, tensorInfos };
  } catch (error) {
    throw new GgufMetadataError({
      where: path,
      expected: 'a header that parses',
      found: error instanceof Error ? error.message : String(error),
      advice: 'The file is damaged: download the model again.',
    });
  }
}

async function readFloats(path: string, file: FileHandle, tensor: StoredTensor): Promise<Float32Array> {
  const blocks = new Uint8Array(tensor.bytes);
  for (let done = 0; done < blocks.length; ) {
    const { bytesRead } = await file.read(blocks, done, blocks.length - done, tensor.offset + done);
    if (bytesRead === 0) {
      throw new TruncatedGgufError({
        where: path,
        expected: `${tensor.bytes} bytes of ${tensor.name}`,
        found: `${done}`,
        advice: 'The file was cut short after it was opened: restore it and start again.',
      });
    }
    done += bytesRead;
  }
  const values = new Float32Array(tensor.elements);
  tensor.type.dequantise(blocks, values);
  return values;
}

async function hashFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  await pipeline(createReadStream(path), hash);
  return hash.digest('hex');
}
