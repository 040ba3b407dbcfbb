import { GgufModel } from '@app/gguf-model';
import type { KvType, LlamaShape } from '@app/onnx-graph';
import type { AskedRows } from './asked-rows.js';
import type { StoredCache } from './cache-file.js';
import { CacheFolder } from './cache-folder.js';
import { calibrationPath, readCalibration } from './calibration-file.js';
import type { CompressTools } from './compress-heads.js';
import { CompressThreads } from './compress-threads.js';
import { ContinuousBatch } from './continuous-batch.js';
import { DecodeRuns } from './decode-runs.js';
import { ContextOverflowError, KvMemoryExceededError, UnknownCacheError } from './engine-errors.js';
import { describeModel, tokenBytes } from './engine-model.js';
import type {
  AnswerPiece,
  CacheHandle,
  Compression,
  EngineModel,
  EnginePort,
  GenerateRequest,
  Generation,
  HeldCache,
  PrefillRequest,
  StoreRequest,
} from './engine-port.js';
import { type HeldHead, type HeldPrefix, heldBytes, holdPrefix, meanEntries } from './held-prefix.js';
import { JsonConstraints } from './json-constraint.js';
import { defaultKvBytes, LetGo } from './kv-memory.js';
import { ModelFiles, type Precision } from './model-files.js';
import { type Checkpoint, chunkBorders, readPrefix, scoreQuestions } from './prefix-reader.js';
import { planRead, type ReadPlan } from './read-plan.js';
import type { ReadingCache } from './reading-cache.js';
import { Sessions } from './sessions.js';
import { StandIns } from './stand-ins.js';
import { type Turn, Turns } from './turns.js';

/** Compressing goes on for so long before it is the turn of others' decode steps, which take a few dozen milliseconds. */
const COMPRESS_MS = 50;

/** More threads would wait for memory, not for arithmetic. */
const MOST_COMPRESS_THREADS = 8;

export interface EngineOptions {
  /** Path of the GGUF file. */
  readonly modelPath: string;
  /** Folder for graphs and weights made from the model file; about 2.1 bytes a parameter (q8; 1.6 of a file in 4 bits) and 4 an embedding value, or 4 a parameter (f32). */
  readonly cacheDir: string;
  readonly precision: Precision;
  /** How keys and values of documents are held; default `f32`. `f16` takes half the bytes and somewhat longer a token. */
  readonly kvType?: KvType;
  /** Threads of the matrix products. */
  readonly threads: number;
  /** Threads that merge and match, the engine's own included; default `threads`, 8 at most. More than 1 only where the engine runs as it was built. */
  readonly compressThreads?: number;
  /** Bytes that keys and values may take; default: half of what the machine or container has left once the model is there. */
  readonly kvBytes?: number | undefined;
  /** Folder for caches on disk and the bytes that they may take there; left out: none are stored. */
  readonly spill?: { readonly folder: string; readonly bytes: number } | undefined;
}

/** The engine itself, in the calling thread, which it blocks while a graph runs. Workers use `startEngine`. */
export class Engine implements EnginePort {
  private readonly letGo = new LetGo();
  private readonly held = new Map<CacheHandle, StoredCache>();
  private readonly turns = new Turns();
  private readonly batch: ContinuousBatch;
  private readonly compressing: CompressThreads;
  private nextHandle = 1;
  private readonly constraints: JsonConstraints;
  private readonly standIns: StandIns;

  private constructor(
    readonly model: EngineModel,
    private readonly shape: LlamaShape,
    private readonly gguf: GgufModel,
    private readonly sessions: Sessions,
    private readonly onDisk: CacheFolder | undefined,
    /** Of each compressing thread's matrix products. */
    private readonly matchThreads: number,
  ) {
    const runs = new DecodeRuns(sessions, shape);
    this.standIns = new StandIns(gguf);
    this.constraints = new JsonConstraints(gguf.tokenizer);
    this.compressing = new CompressThreads(model.compressThreads, matchThreads);
    this.batch = new ContinuousBatch(runs, gguf.tokenizer, this.turns, model.tailTokens);
  }

  static async open(options: EngineOptions): Promise<Engine> {
    const { modelPath, cacheDir, precision, kvType = 'f32', threads, kvBytes, spill } = options;
    const { compressThreads = Math.min(threads, MOST_COMPRESS_THREADS) } = options;
    const gguf = await GgufModel.open(modelPath);
    const files = await ModelFiles.prepare(gguf, cacheDir, precision);
    const sessions = new Sessions(files, threads, kvType);
    // Both before it is ready, or the first document would wait for them.
    for (const phase of ['prefill', 'decode'] as const) await sessions.get(phase);
    const { shape } = files.description;
    const hash = await gguf.contentHash();
    const calibration = await readCalibration(calibrationPath(modelPath), hash, shape);
    const model = describeModel({
      shape,
      modelHash: hash,
      precision,
      kvType,
      calibration,
      kvBytes: kvBytes ?? defaultKvBytes(),
      compressThreads,
    });
    const onDisk = spill && new CacheFolder(spill.folder, spill.bytes, shape);
    return new Engine(model, shape, gguf, sessions, onDisk, Math.max(1, Math.floor(threads / compressThreads)));
  }

  async prefill(request: PrefillRequest, signal?: AbortSignal): Promise<HeldCache> {
    const plan = planRead(this.model, request);
    this.checkContext(request.tokens.length, 0);
    const merging = plan.shrinks && request.reading === 'merging';
    const turn = this.turns.prefill(chunkBorders(request.tokens.length, !merging).length, signal);
    try {
      return await this.hold(request, plan, merging, turn);
    } finally {
      turn.leave();
    }
  }

  private async hold(request: PrefillRequest, plan: ReadPlan, merging: boolean, turn: Turn): Promise<HeldCache> {
    const { tokens, compression } = request;
    const { policy, entries, attention, matching } = plan;
    const known = request.questions?.length ? request.questions : undefined;
    const session = await this.sessions.get('prefill');
    const start = performance.now();
    const cache = await readPrefix(session, {
      shape: this.shape,
      tokens,
      attention,
      checkpoint: turn.next,
      merging: merging ? { policy, entries, questions: known ?? this.standIns.questions } : undefined,
    });
    const readingBytes = cache.bytes;
    const compressStart = performance.now();
    const scored = attention.includes('questions');
    try {
      const asked = scored ? await this.ask(cache, request, matching, turn.next) : undefined;
      const prefix = holdPrefix(this.shape, tokens.length, await this.compress(cache, plan, asked, turn));
      const end = performance.now();
      return this.handOut(prefix, compression, {
        readingBytes,
        prefillSeconds: (compressStart - start) / 1000,
        compressSeconds: (end - compressStart) / 1000,
      });
    } catch (error) {
      cache.release();
      throw error;
    }
  }

  /** Gathers attention of the questions, or of what stands in for them where none are known. */
  private async ask(
    cache: ReadingCache,
    { tokens, questions = [] }: PrefillRequest,
    recording: boolean,
    checkpoint: Checkpoint,
  ): Promise<AskedRows | undefined> {
    const session = await this.sessions.get('prefill');
    if (questions.length > 0) return scoreQuestions(session, cache, questions, checkpoint, recording);
    return this.standIns.score(session, cache, tokens, { calibration: this.model.calibration, checkpoint, recording });
  }

  /** What stays of each head. The cache is used up. */
  private async compress(
    cache: ReadingCache,
    plan: ReadPlan,
    asked: AskedRows | undefined,
    turn: Turn,
  ): Promise<HeldHead[]> {
    let since = performance.now();
    const checkpoint = async (): Promise<void> => {
      if (performance.now() - since < COMPRESS_MS) return;
      await turn.next();
      since = performance.now();
    };
    const tools: CompressTools = {
      matching: (headSize) => this.sessions.matching(headSize, this.matchThreads),
      checkpoint,
    };
    return this.compressing.compress(cache, plan, { kvType: this.model.kvType, asked, tools });
  }

  private handOut(
    prefix: HeldPrefix,
    compression: Compression,
    reading: Pick<HeldCache, 'readingBytes' | 'prefillSeconds' | 'compressSeconds'>,
  ): HeldCache {
    const handle = this.nextHandle++ as CacheHandle;
    this.held.set(handle, { prefix, compression });
    const { tokens } = prefix;
    return { handle, ...compression, tokens, entries: meanEntries(prefix), bytes: heldBytes(prefix), ...reading };
  }

  async store({ handle, key }: StoreRequest): Promise<boolean> {
    const cache = this.held.get(handle);
    if (cache === undefined || this.onDisk === undefined) return false;
    return this.onDisk.store(key, heldBytes(cache.prefix), cache);
  }

  async restore(key: string): Promise<HeldCache | undefined> {
    const cache = await this.onDisk?.find(key);
    if (cache === undefined) return undefined;
    const reading = { readingBytes: heldBytes(cache.prefix), prefillSeconds: 0, compressSeconds: 0 };
    return this.handOut(cache.prefix, cache.compression, reading);
  }

  async generate(
    { handle, ...item }: GenerateRequest,
    signal?: AbortSignal,
    onPiece?: (piece: AnswerPiece) => void,
  ): Promise<Generation> {
    const prefix = this.held.get(handle)?.prefix;
    if (prefix === undefined) throw new UnknownCacheError(handle);
    this.checkContext(prefix.tokens + item.suffix.length, item.sampling.maxTokens);
    this.checkTail(item.suffix.length + item.sampling.maxTokens);
    const { json } = item.sampling;
    const constraint = json && (await this.constraints.open(json, signal));
    try {
      return await this.batch.generate(prefix, item, signal, onPiece, constraint);
    } finally {
      constraint?.dispose();
    }
  }

  async release(handle: CacheHandle): Promise<void> {
    const prefix = this.held.get(handle)?.prefix;
    this.held.delete(handle);
    if (prefix !== undefined) this.letGo.add(heldBytes(prefix));
  }

  async close(): Promise<void> {
    await this.batch.close();
    await this.compressing.close();
    await this.constraints.close();
    this.held.clear();
    await this.sessions.close();
    await this.gguf.close();
  }

  private checkContext(promptTokens: number, maxTokens: number): void {
    const { contextLength } = this.shape;
    if (promptTokens + maxTokens > contextLength)
      throw new ContextOverflowError(contextLength, promptTokens, maxTokens);
  }
  private checkTail(tokens: number): void {
    const { tailTokens } = this.model;
    if (tokens <= tailTokens) return;
    const bytes = tokenBytes(this.shape);
    throw new KvMemoryExceededError('question', tokens, tokens * bytes, tailTokens * bytes);
  }
}
