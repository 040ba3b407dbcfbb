import { GgufModel } from '@app/gguf-model';
import { createPolicy, type HeadCalibration } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';
import { type Calibration, calibrationPath, readCalibration } from './calibration-file.js';
import { ContinuousBatch, MAX_ITEMS } from './continuous-batch.js';
import { DecodeRuns } from './decode-runs.js';
import { ContextOverflowError, UnknownCacheError } from './engine-errors.js';
import type {
  CacheHandle,
  EngineModel,
  EnginePort,
  GenerateRequest,
  Generation,
  HeldCache,
  PrefillRequest,
} from './engine-port.js';
import { compress, entryBytes, type HeldPrefix, heldBytes, meanEntries } from './held-prefix.js';
import { ModelFiles, type Precision } from './model-files.js';
import { PREFILL_CHUNK, readPrefix, scoreQuestions } from './prefix-reader.js';
import { Sessions } from './sessions.js';
import { type Turn, Turns } from './turns.js';

export interface EngineOptions {
  /** Path of the GGUF file. */
  readonly modelPath: string;
  /** Folder for graphs and weights made from the model file; about 1.1 (q8) or 4 (f32) bytes a parameter, and 4 bytes an embedding value. */
  readonly cacheDir: string;
  readonly precision: Precision;
  /** Threads of the matrix products. */
  readonly threads: number;
}

/** The engine itself, in the calling thread, which it blocks while a graph runs. Workers use `startEngine`. */
export class Engine implements EnginePort {
  readonly model: EngineModel;
  private readonly shape: LlamaShape;
  private readonly calibration: HeadCalibration | undefined;
  private readonly held = new Map<CacheHandle, HeldPrefix>();
  private readonly turns = new Turns();
  private readonly batch: ContinuousBatch;
  private nextHandle = 1;

  private constructor(
    private readonly gguf: GgufModel,
    files: ModelFiles,
    private readonly sessions: Sessions,
    calibration: Calibration,
  ) {
    this.shape = files.description.shape;
    this.calibration = 'missing' in calibration ? undefined : calibration;
    const { contextLength, layers, kvHeads, headSize } = this.shape;
    const uncalibrated = 'missing' in calibration ? { uncalibrated: calibration.missing } : {};
    this.model = {
      contextLength,
      layers,
      kvHeads,
      headSize,
      entryBytes: entryBytes(headSize),
      itemsAtOnce: MAX_ITEMS,
      ...uncalibrated,
    };
    this.batch = new ContinuousBatch(new DecodeRuns(sessions, this.shape), gguf.tokenizer, this.turns);
  }

  static async open({ modelPath, cacheDir, precision, threads }: EngineOptions): Promise<Engine> {
    const gguf = await GgufModel.open(modelPath);
    const files = await ModelFiles.prepare(gguf, cacheDir, precision);
    const sessions = new Sessions(files, threads);
    await sessions.get('decode');
    const calibration = await readCalibration(
      calibrationPath(modelPath),
      await gguf.contentHash(),
      files.description.shape,
    );
    return new Engine(gguf, files, sessions, calibration);
  }

  async prefill(request: PrefillRequest, signal?: AbortSignal): Promise<HeldCache> {
    const turn = this.turns.prefill(Math.ceil(request.tokens.length / PREFILL_CHUNK), signal);
    try {
      return await this.hold(request, turn);
    } finally {
      turn.leave();
    }
  }

  private async hold({ tokens, compression, reading, questions = [] }: PrefillRequest, turn: Turn): Promise<HeldCache> {
    const seen = questions.length > 0;
    const policy = createPolicy(compression.policy, { scoring: seen ? 'questions' : 'window' });
    const { layers, kvHeads } = this.shape;
    const entries = policy.allocate({ tokens: tokens.length, layers, kvHeads }, compression.budget, this.calibration);
    this.checkContext(tokens.length, 0);
    const shrinks = !policy.exact || entries.some((kept) => kept < tokens.length);
    const attention = shrinks ? policy.needs.attention : [];
    const session = await this.sessions.get('prefill');
    const start = performance.now();
    const cache = await readPrefix(session, {
      shape: this.shape,
      tokens,
      attention,
      checkpoint: turn.next,
      merging: shrinks && reading === 'merging' ? { policy, entries, questions } : undefined,
    });
    const readingBytes = cache.bytes;
    const compressStart = performance.now();
    if (attention.includes('questions')) await scoreQuestions(session, cache, questions, turn.next);
    const prefix = compress(cache, policy, compression.budget, { calibration: this.calibration });
    const end = performance.now();
    const handle = this.nextHandle++ as CacheHandle;
    this.held.set(handle, prefix);
    return {
      handle,
      ...compression,
      tokens: tokens.length,
      entries: meanEntries(prefix),
      bytes: heldBytes(prefix),
      readingBytes,
      prefillSeconds: (compressStart - start) / 1000,
      compressSeconds: (end - compressStart) / 1000,
    };
  }

  async generate({ handle, ...item }: GenerateRequest, signal?: AbortSignal): Promise<Generation> {
    const prefix = this.held.get(handle);
    if (prefix === undefined) throw new UnknownCacheError(handle);
    this.checkContext(prefix.tokens + item.suffix.length, item.sampling.maxTokens);
    return this.batch.generate(prefix, item, signal);
  }

  async release(handle: CacheHandle): Promise<void> {
    this.held.delete(handle);
  }

  async close(): Promise<void> {
    await this.batch.close();
    this.held.clear();
    await this.sessions.close();
    await this.gguf.close();
  }

  private checkContext(promptTokens: number, maxTokens: number): void {
    const { contextLength } = this.shape;
    if (promptTokens + maxTokens > contextLength)
      throw new ContextOverflowError(contextLength, promptTokens, maxTokens);
  }
}
