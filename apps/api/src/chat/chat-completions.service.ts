import { randomUUID } from 'node:crypto';
import { ApiError, CHAT_PRIORITY, type ChatJob, parseChatCompletion } from '@app/batches';
import { Config } from '@app/config';
import { type ItemResult, ResultStore } from '@app/results';
import { BlobStore } from '@app/storage';
import { Injectable, Logger } from '@nestjs/common';
import { JobQueues } from '../job-queues.js';
import { Shutdown } from '../shutdown.js';

/** How often a waiting request looks for itself, in case the event was published while Redis was away. */
const LOOK_EVERY_MS = 2000;
/** Looks in a row that may fail before the request gives up: some seconds of Redis being away. */
const MAX_FAILED_LOOKS = 3;
/** What a late answer may still find of a completion nobody waits for any more. */
const KEPT_SECONDS = 3600;

/** A response of the model, or the error that a worker recorded instead. */
export interface ChatOutcome {
  readonly status: number;
  readonly body: unknown;
}

/** Answers one chat completion through the queue: a job of its own that overtakes batches. */
@Injectable()
export class ChatCompletionsService {
  private readonly logger = new Logger('Chat');

  constructor(
    private readonly config: Config,
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
    private readonly queues: JobQueues,
    private readonly shutdown: Shutdown,
  ) {}

  /** @param body of the request, not validated; throws `ApiError` where it is wrong or nobody answers in time */
  async complete(body: object): Promise<ChatOutcome> {
    const request = parseChatCompletion(body);
    if (request.model !== this.config.modelId) throw ApiError.modelNotFound(request.model);

    const id = `chatcmpl-${randomUUID().replaceAll('-', '')}`;
    const job: ChatJob = { kind: 'chat', completionId: id, bodyKey: `chat/${id}.json` };
    const waiting = new AnswerSignal();
    await this.results.expect(id, 1);
    // Before the job is queued: an event published earlier than the subscription would be missed.
    const unsubscribe = await this.results.subscribe(id, () => waiting.wake());
    try {
      await this.blobs.put(job.bodyKey, JSON.stringify(body));
      await this.enqueue(id, job);
      const { response, error } = await this.answer(id, waiting);
      if (!response)
        throw ApiError.server(500, error?.message ?? 'The worker recorded no answer.', error?.code ?? null);
      return { status: response.status_code, body: response.body };
    } finally {
      await this.cleanUp(id, job, unsubscribe);
    }
  }

  private async enqueue(id: string, job: ChatJob): Promise<void> {
    await this.queues.groups.add('chat', job, {
      jobId: id,
      priority: CHAT_PRIORITY,
      attempts: this.config.maxGroupAttempts,
      backoff: { type: 'fixed', delay: 1000 },
      removeOnComplete: { age: 3600, count: 1000 },
      removeOnFail: { age: 24 * 3600, count: 1000 },
      stackTraceLimit: 5,
    });
  }

  /** Waits for the recorded result: woken by its event, and looking now and then. */
  private async answer(id: string, waiting: AnswerSignal): Promise<ItemResult> {
    const deadline = Date.now() + this.config.chatTimeoutSeconds * 1000;
    for (let failedLooks = 0; ; ) {
      try {
        const result = await this.results.get(id, 0);
        if (result) return result;
        await this.failIfGivenUp(id);
        failedLooks = 0;
      } catch (error) {
        if (error instanceof ApiError || ++failedLooks >= MAX_FAILED_LOOKS) throw error;
      }
      if (this.shutdown.signal.aborted) throw ApiError.server(503, 'The service is being stopped.', 'shutting_down');
      const left = deadline - Date.now();
      if (left <= 0) await this.giveUp(id);
      await waiting.wait(Math.min(left, LOOK_EVERY_MS), this.shutdown.signal);
    }
  }

  /** A job out of attempts has nobody left to record a result. */
  private async failIfGivenUp(id: string): Promise<void> {
    if ((await this.queues.groups.getJobState(id)) !== 'failed') return;
    const result = await this.results.get(id, 0);
    if (!result) throw ApiError.server(500, 'The model could not answer this request.', 'worker_failed');
  }

  private async giveUp(id: string): Promise<never> {
    const job = await this.queues.groups.getJob(id);
    // Not begun yet: nobody needs it any more. A job that runs cannot be removed; its answer expires.
    await job?.remove().catch(() => undefined);
    throw ApiError.server(
      504,
      `No answer within ${this.config.chatTimeoutSeconds} s. Is a worker running, and is it busy? See /health.`,
      'timeout',
    );
  }

  private async cleanUp(id: string, job: ChatJob, unsubscribe: () => Promise<void>): Promise<void> {
    const done = await Promise.allSettled([
      unsubscribe(),
      this.blobs.delete(job.bodyKey),
      this.results.expire(id, KEPT_SECONDS),
    ]);
    for (const outcome of done) {
      if (outcome.status === 'rejected') this.logger.warn(`${id}: not cleaned up: ${outcome.reason}`);
    }
  }
}

/** Lets one waiter be woken by an event, a timeout or an abort, and never misses an event between two waits. */
class AnswerSignal {
  private woken = false;
  private resume: (() => void) | undefined;

  wake(): void {
    this.woken = true;
    this.resume?.();
  }

  async wait(milliseconds: number, abort: AbortSignal): Promise<void> {
    if (!this.woken && !abort.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.resume = () => {
          clearTimeout(timer);
          resolve();
        };
        abort.addEventListener('abort', this.resume, { once: true });
      });
      if (this.resume) abort.removeEventListener('abort', this.resume);
    }
    this.woken = false;
    this.resume = undefined;
  }
}
