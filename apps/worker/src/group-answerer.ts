import { randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import { ApiError, answeredItem, type GroupPlan, type PlannedItem, refusedItem, systemFingerprint } from '@app/batches';
import { Config } from '@app/config';
import {
  type AnswerPiece,
  ContextOverflowError,
  type DocumentLease,
  type DocumentRequest,
  EngineAbortedError,
  EngineCrashedError,
  type EnginePort,
  type HeldCache,
  HeldDocuments,
  KvMemoryExceededError,
  type SamplingOptions,
  UnknownCacheError,
  UnusableSchemaError,
} from '@app/inference';
import { type ItemResult, ResultStore } from '@app/results';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { chatCompletionBody } from './chat-completion-body.js';
import { Drain, HandBackError } from './drain.js';
import { ENGINE } from './engine.js';
import { jsonFormat } from './json-format.js';
import { LineResults } from './line-results.js';
import { LeftElsewhereError, NoRoomError, type Placement } from './placement.js';
import { tokenBias } from './token-bias.js';

/** What a caller of `answer` may add to a plan. */
export interface AnswerOptions extends Placement {
  /** Aborted once nobody wants the answers any more. */
  readonly cancelled?: AbortSignal;
  /** Id of the one completion, where the caller knows it already. */
  readonly completionId?: string;
  /** Told of the answers as they grow. */
  readonly onPiece?: (item: PlannedItem, choice: number, piece: AnswerPiece) => void;
}

/** One run over a group: the options, and when to stop. */
interface Run extends AnswerOptions {
  readonly stopReading: AbortSignal;
  readonly stopAnswering: AbortSignal;
}

/** Answers the items of a document group from one cache and records each at once. */
@Injectable()
export class GroupAnswerer {
  private readonly logger = new Logger(GroupAnswerer.name);
  private readonly systemFingerprint: string;
  private readonly lines: LineResults;

  constructor(
    private readonly config: Config,
    private readonly results: ResultStore,
    @Inject(ENGINE) private readonly engine: EnginePort,
    private readonly documents: HeldDocuments,
    private readonly drain: Drain,
  ) {
    this.lines = new LineResults(results);
    this.systemFingerprint = systemFingerprint(config.modelId, config.precision);
  }

  /**
   * Answers what is not recorded yet. Returns when every item is recorded, or when the work was cancelled.
   * @param group names the group within its batch
   * @throws HandBackError when the worker stops; NoRoomError; LeftElsewhereError; EngineCrashedError; whatever a Redis or a disk that is away throws
   */
  async answer(plan: GroupPlan, group: string, options: AnswerOptions = {}): Promise<void> {
    const cancelled = options.cancelled ?? new AbortController().signal;
    const run: Run = {
      ...options,
      stopReading: AbortSignal.any([this.drain.started, cancelled]),
      stopAnswering: AbortSignal.any([this.drain.overdue, cancelled]),
    };
    // Every answer under way listens; without this Node takes them for a leak.
    setMaxListeners(0, run.stopAnswering);
    try {
      await this.answerAll(plan, group, run);
    } catch (error) {
      if (!cancelled.aborted || !(error instanceof HandBackError)) throw error;
      this.logger.log(`cancelled batch=${plan.batchId} group=${group}`);
    }
  }

  private async answerAll(plan: GroupPlan, group: string, run: Run): Promise<void> {
    for (;;) {
      const remaining = await this.lines.remaining(plan.batchId, plan.items);
      if (remaining.length === 0) return;
      if (run.stopReading.aborted) throw new HandBackError();
      const lease = await this.place(plan, remaining, run);
      if (lease === undefined) return;
      try {
        // Runs that got no further than the one before count; one that answered an item starts the count again.
        const attempt = await this.results.beginAttempt(plan.batchId, `${group}/${remaining.length}`);
        if (attempt > this.config.maxGroupAttempts) await this.giveUp(plan, remaining, attempt - 1);
        else await this.answerFromOneCache(plan, remaining, lease, run);
      } finally {
        lease.end();
      }
    }
  }

  /** The document's place in memory; undefined where it can have none, which is recorded then. */
  private async place(plan: GroupPlan, items: readonly PlannedItem[], run: Run): Promise<DocumentLease | undefined> {
    const request = documentOf(plan);
    try {
      if (run.elsewhere !== undefined && !this.documents.holds(request)) {
        const worker = await run.elsewhere(this.documents.keyOf(request));
        if (worker !== undefined) throw new LeftElsewhereError(worker);
      }
      const lease = this.documents.lease(request);
      if (lease === undefined) throw new NoRoomError(this.documents.room());
      run.onPlaced?.();
      return lease;
    } catch (error) {
      const refusal = refusalOf(error, plan.promptField);
      if (refusal === undefined) throw error;
      for (const item of items) await this.record(plan, item, refusedItem(item.customId, refusal));
      return undefined;
    }
  }

  private async answerFromOneCache(
    plan: GroupPlan,
    items: readonly PlannedItem[],
    lease: DocumentLease,
    run: Run,
  ): Promise<void> {
    let cache: HeldCache;
    try {
      cache = await lease.cache(run.stopReading);
    } catch (error) {
      if (error instanceof EngineAbortedError) throw new HandBackError();
      throw error;
    }
    const behind = items.map((item) => ({ ...item, suffix: suffixBehind(lease.tokens, plan, item) }));
    await this.answerItems(plan, behind, cache, lease.reused, run);
  }

  /** As many at once as go on together in the engine. Once the worker stops, no further one begins. */
  private async answerItems(
    plan: GroupPlan,
    items: readonly PlannedItem[],
    cache: HeldCache,
    reused: boolean,
    run: Run,
  ): Promise<void> {
    const next = items.entries();
    const answer = async (): Promise<void> => {
      for (const [i, item] of next) {
        if (run.stopReading.aborted) throw new HandBackError();
        await this.record(plan, item, await this.outcome(plan, item, cache, reused || i > 0, run));
      }
    };
    const ends = await Promise.allSettled(Array.from({ length: this.engine.model.itemsAtOnce }, answer));
    for (const end of ends) if (end.status === 'rejected') throw end.reason;
  }

  private async outcome(
    plan: GroupPlan,
    item: PlannedItem,
    cache: HeldCache,
    reused: boolean,
    { stopAnswering, onPiece, completionId = `chatcmpl-${randomUUID().replaceAll('-', '')}` }: Run,
  ): Promise<ItemResult> {
    try {
      const request = { handle: cache.handle, suffix: item.suffix, sampling: this.sampling(cache, item) };
      const choices = Array.from({ length: item.request.n ?? 1 }, (_, choice) => {
        const { seed } = request.sampling;
        const sampling = { ...request.sampling, seed: seed === undefined ? undefined : seed + choice };
        const tell = onPiece && ((piece: AnswerPiece) => onPiece(item, choice, piece));
        return this.engine.generate({ ...request, sampling }, stopAnswering, tell);
      });
      const generations = await Promise.all(choices);
      const { systemFingerprint } = this;
      const body = chatCompletionBody({ id: completionId, item, cache, reused, generations, systemFingerprint });
      return answeredItem(item.customId, body);
    } catch (error) {
      if (error instanceof EngineAbortedError) throw new HandBackError();
      if (error instanceof EngineCrashedError || error instanceof UnknownCacheError) throw error;
      const refusal = refusalOf(error, plan.promptField);
      if (refusal !== undefined) return refusedItem(item.customId, refusal);
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.error(`batch=${plan.batchId} item=${item.index}: ${reason}`);
      return refusedItem(item.customId, ApiError.server(500, `The engine failed: ${reason}`, 'engine_error'));
    }
  }

  /** OpenAI's defaults; without a limit the answer gets what is left of the context, and of the memory for answers. */
  private sampling(cache: HeldCache, { request, suffix }: PlannedItem): SamplingOptions {
    const { contextLength, tailTokens } = this.engine.model;
    const left = Math.max(1, Math.min(contextLength - cache.tokens, tailTokens) - suffix.length);
    const { stop = [] } = request;
    return {
      temperature: request.temperature ?? 1,
      topP: request.top_p ?? 1,
      seed: request.seed,
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? left,
      stop: typeof stop === 'string' ? [stop] : stop,
      topLogprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
      bias: tokenBias(request),
      json: jsonFormat(request),
    };
  }

  private async record({ batchId }: GroupPlan, item: PlannedItem, result: ItemResult): Promise<void> {
    const { index, customId, part } = item;
    await this.lines.record(batchId, item, result);
    const which = part === undefined ? '' : ` part=${part.index}`;
    this.logger.log(
      `${result.response?.status_code === 200 ? 'answered' : 'failed'} batch=${batchId} item=${index}${which} custom_id=${customId}`,
    );
  }

  private async giveUp(plan: GroupPlan, items: readonly PlannedItem[], attempts: number): Promise<void> {
    const message = `The item was given up after ${attempts} runs in which its worker was lost or failed before answering it.`;
    for (const item of items) {
      await this.record(plan, item, refusedItem(item.customId, ApiError.server(500, message, 'worker_lost')));
    }
  }
}

/** What a group asks the engine to hold. */
function documentOf({ prefix, compression, items, questions: shared }: GroupPlan): DocumentRequest {
  const { policy, budget, questions, reading } = compression;
  const suffixes = items.map(({ suffix }) => suffix);
  return {
    tokens: prefix,
    compression: { policy, budget },
    reading,
    // All questions of the group, answered ones included: a run that goes on with it must compress alike.
    questions: questions === 'seen' ? (shared ?? suffixes) : [],
    items: items.length,
    following: suffixes.length === 1 ? suffixes[0]!.slice(0, -1) : [],
  };
}

/** What an item adds to a held document, which may end before the group's prefix does, or after it. */
const suffixBehind = (tokens: number, { prefix }: GroupPlan, { suffix }: PlannedItem): readonly number[] =>
  tokens <= prefix.length ? [...prefix.slice(tokens), ...suffix] : suffix.slice(tokens - prefix.length);

/** What is told a client whose request can never be answered here; undefined for all other errors. */
function refusalOf(error: unknown, param: string = 'messages'): ApiError | undefined {
  if (error instanceof ContextOverflowError) {
    return ApiError.invalid(error.message, param, 'context_length_exceeded');
  }
  if (error instanceof KvMemoryExceededError) return ApiError.invalid(error.message, param, 'kv_memory_exceeded');
  if (error instanceof UnusableSchemaError) {
    return ApiError.invalid(error.message, 'response_format.json_schema.schema', 'invalid_json_schema');
  }
  return undefined;
}
