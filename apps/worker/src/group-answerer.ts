import { randomUUID } from 'node:crypto';
import { ApiError, answeredItem, type GroupPlan, type PlannedItem, refusedItem, systemFingerprint } from '@app/batches';
import { Config } from '@app/config';
import {
  type AnswerPiece,
  ContextOverflowError,
  EngineAbortedError,
  EngineCrashedError,
  type EnginePort,
  type HeldCache,
  type SamplingOptions,
  UnknownCacheError,
} from '@app/inference';
import { type ItemResult, ResultStore } from '@app/results';
import { Inject, Injectable, Logger } from '@nestjs/common';
import { chatCompletionBody } from './chat-completion-body.js';
import { Drain, HandBackError } from './drain.js';
import { ENGINE } from './engine.js';

/** What a caller of `answer` may add to a plan. */
export interface AnswerOptions {
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

  constructor(
    private readonly config: Config,
    private readonly results: ResultStore,
    @Inject(ENGINE) private readonly engine: EnginePort,
    private readonly drain: Drain,
  ) {
    this.systemFingerprint = systemFingerprint(config.modelId, config.precision);
  }

  /**
   * Answers what is not recorded yet. Returns when every item is recorded, or when the work was cancelled.
   * @param group names the group within its batch
   * @throws HandBackError when the worker stops; EngineCrashedError; whatever a Redis or a disk that is away throws
   */
  async answer(plan: GroupPlan, group: string, options: AnswerOptions = {}): Promise<void> {
    const cancelled = options.cancelled ?? new AbortController().signal;
    const run: Run = {
      ...options,
      stopReading: AbortSignal.any([this.drain.started, cancelled]),
      stopAnswering: AbortSignal.any([this.drain.overdue, cancelled]),
    };
    try {
      await this.answerAll(plan, group, run);
    } catch (error) {
      if (!cancelled.aborted || !(error instanceof HandBackError)) throw error;
      this.logger.log(`cancelled batch=${plan.batchId} group=${group}`);
    }
  }

  private async answerAll(plan: GroupPlan, group: string, run: Run): Promise<void> {
    for (;;) {
      const remaining = await this.remaining(plan);
      if (remaining.length === 0) return;
      if (run.stopReading.aborted) throw new HandBackError();
      // Runs that got no further than the one before count; one that answered an item starts the count again.
      const attempt = await this.results.beginAttempt(plan.batchId, `${group}/${remaining.length}`);
      if (attempt > this.config.maxGroupAttempts) await this.giveUp(plan, remaining, attempt - 1);
      else await this.answerFromOneCache(plan, remaining, run);
    }
  }

  private async remaining(plan: GroupPlan): Promise<PlannedItem[]> {
    const recorded = await this.results.recorded(
      plan.batchId,
      plan.items.map(({ index }) => index),
    );
    return plan.items.filter(({ index }) => !recorded.has(index));
  }

  private async answerFromOneCache(plan: GroupPlan, items: readonly PlannedItem[], run: Run): Promise<void> {
    let cache: HeldCache;
    try {
      const { policy, budget, questions, reading } = plan.compression;
      // All questions of the group, answered ones included: a run that goes on with it must compress alike.
      const asked = questions === 'seen' ? plan.items.map(({ suffix }) => suffix) : [];
      const request = { tokens: plan.prefix, compression: { policy, budget }, reading, questions: asked };
      cache = await this.engine.prefill(request, run.stopReading);
    } catch (error) {
      if (error instanceof EngineAbortedError) throw new HandBackError();
      if (!(error instanceof ContextOverflowError)) throw error;
      for (const item of items) await this.record(plan, item, refusedItem(item.customId, contextOverflow(error)));
      return;
    }
    try {
      await this.answerItems(plan, items, cache, run);
    } finally {
      await this.engine.release(cache.handle).catch(() => undefined); // a crashed engine holds nothing
    }
  }

  /** As many at once as go on together in the engine. Once the worker stops, no further one begins. */
  private async answerItems(plan: GroupPlan, items: readonly PlannedItem[], cache: HeldCache, run: Run): Promise<void> {
    const next = items.entries();
    const answer = async (): Promise<void> => {
      for (const [i, item] of next) {
        if (run.stopReading.aborted) throw new HandBackError();
        await this.record(plan, item, await this.outcome(plan, item, cache, i > 0, run));
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
      const request = { handle: cache.handle, suffix: item.suffix, sampling: this.sampling(plan, item) };
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
      if (error instanceof ContextOverflowError) return refusedItem(item.customId, contextOverflow(error));
      const reason = error instanceof Error ? error.message : String(error);
      this.logger.error(`batch=${plan.batchId} item=${item.index}: ${reason}`);
      return refusedItem(item.customId, ApiError.server(500, `The engine failed: ${reason}`, 'engine_error'));
    }
  }

  /** OpenAI's defaults; without a limit the answer gets what is left of the context. */
  private sampling({ prefix }: GroupPlan, { request, suffix }: PlannedItem): SamplingOptions {
    const left = this.engine.model.contextLength - prefix.length - suffix.length;
    const { stop = [] } = request;
    return {
      temperature: request.temperature ?? 1,
      topP: request.top_p ?? 1,
      seed: request.seed,
      maxTokens: request.max_completion_tokens ?? request.max_tokens ?? left,
      stop: typeof stop === 'string' ? [stop] : stop,
      topLogprobs: request.logprobs ? (request.top_logprobs ?? 0) : undefined,
    };
  }

  private async record({ batchId }: GroupPlan, { index, customId }: PlannedItem, result: ItemResult): Promise<void> {
    await this.results.record(batchId, index, result);
    this.logger.log(
      `${result.response?.status_code === 200 ? 'answered' : 'failed'} batch=${batchId} item=${index} custom_id=${customId}`,
    );
  }

  private async giveUp(plan: GroupPlan, items: readonly PlannedItem[], attempts: number): Promise<void> {
    const message = `The item was given up after ${attempts} runs in which its worker was lost or failed before answering it.`;
    for (const item of items) {
      await this.record(plan, item, refusedItem(item.customId, ApiError.server(500, message, 'worker_lost')));
    }
  }
}

const contextOverflow = (error: ContextOverflowError): ApiError =>
  ApiError.invalid(error.message, 'messages', 'context_length_exceeded');
