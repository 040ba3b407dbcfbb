import { ApiError, CHAT_PRIORITY, COMPLETION_BODIES, type CompletionJob, type OpenAiErrorBody } from '@app/batches';
import { Config } from '@app/config';
import { AnswerStreams, Cancellations, type ItemResult, ResultStore, type StreamedPiece } from '@app/results';
import { BlobStore } from '@app/storage';
import { Injectable, Logger } from '@nestjs/common';
import { JobQueues } from '../job-queues.js';
import { Shutdown } from '../shutdown.js';
import { WakeUp } from './wake-up.js';

/** How often a waiting request looks for itself, in case the event was published while Redis was away. */
const LOOK_EVERY_MS = 2000;
/** Looks in a row that may fail before the request gives up: some seconds of Redis being away. */
const MAX_FAILED_LOOKS = 3;
/** What a late answer may still find of a completion nobody waits for any more. */
const KEPT_SECONDS = 3600;

/** A completion to be made. */
export interface CompletionOrder {
  readonly id: string;
  readonly kind: CompletionJob['kind'];
  /** What the worker reads, valid. */
  readonly body: object;
  /** Items that will be recorded. */
  readonly items: number;
  readonly stream: boolean;
}

/** What a completion that goes on has to say: a piece, or undefined for nothing yet. */
export type Progress = StreamedPiece | undefined;

/** The client has closed its connection. */
export class ClientGoneError extends Error {
  override readonly name = 'ClientGoneError';
  constructor() {
    super('The client went away before its answer was complete.');
  }
}

/** Answers completions through the queue: jobs that overtake batches. */
@Injectable()
export class CompletionJobs {
  private readonly logger = new Logger('Completions');

  constructor(
    private readonly config: Config,
    private readonly blobs: BlobStore,
    private readonly results: ResultStore,
    private readonly streams: AnswerStreams,
    private readonly cancellations: Cancellations,
    private readonly queues: JobQueues,
    private readonly shutdown: Shutdown,
  ) {}

  /**
   * Queues a completion and follows it to its end; yields pieces where it is streamed. The work is cancelled when the
   * generator is left early.
   * @param gone aborted when the client is gone
   * @returns the body of each item
   * @throws ApiError what the worker recorded instead, or that nobody answers in time; ClientGoneError
   */
  async *run(order: CompletionOrder, gone: AbortSignal): AsyncGenerator<Progress, unknown[]> {
    const { id, kind, stream } = order;
    const job: CompletionJob = { kind, completionId: id, bodyKey: `${COMPLETION_BODIES}/${id}.json`, stream };
    const wakeUp = new WakeUp();
    const wake = (): void => wakeUp.wake();
    const subscriptions: (() => Promise<void>)[] = [];
    let answered = false;
    gone.addEventListener('abort', wake, { once: true });
    await this.results.expect(id, order.items);
    try {
      // Before the job is queued: an event published earlier than the subscription would be missed.
      subscriptions.push(await this.results.subscribe(id, wake));
      if (stream) subscriptions.push(await this.streams.subscribe(id, wake));
      await this.blobs.put(job.bodyKey, JSON.stringify(order.body));
      await this.enqueue(job);
      const results = yield* this.follow(order, wakeUp, gone);
      answered = true;
      return results.map(bodyOf);
    } finally {
      await this.cleanUp(job, subscriptions, answered);
    }
  }

  private async enqueue(job: CompletionJob): Promise<void> {
    await this.queues.groups.add(job.kind, job, {
      jobId: job.completionId,
      priority: CHAT_PRIORITY,
      attempts: this.config.maxGroupAttempts,
      backoff: { type: 'fixed', delay: 1000 },
      removeOnComplete: { age: 3600, count: 1000 },
      removeOnFail: { age: 24 * 3600, count: 1000 },
      stackTraceLimit: 5,
    });
  }

  /** Waits for the recorded results: woken by events, and looking now and then. */
  private async *follow(
    order: CompletionOrder,
    wakeUp: WakeUp,
    gone: AbortSignal,
  ): AsyncGenerator<Progress, ItemResult[]> {
    const deadline = Date.now() + this.config.chatTimeoutSeconds * 1000;
    let failedLooks = 0;
    let last = '';
    for (let woken = true; ; ) {
      try {
        // Looked for first: then all pieces that came before the results are read.
        const results = await this.recorded(order);
        if (order.stream) {
          const read = await this.streams.read(order.id, last);
          yield* read.pieces;
          last = read.last;
        }
        if (results) return results;
        if (!woken) await this.failIfGivenUp(order);
        failedLooks = 0;
      } catch (error) {
        if (error instanceof ApiError || ++failedLooks >= MAX_FAILED_LOOKS) throw error;
      }
      if (gone.aborted) throw new ClientGoneError();
      if (this.shutdown.signal.aborted) throw ApiError.server(503, 'The service is being stopped.', 'shutting_down');
      const left = deadline - Date.now();
      if (left <= 0) throw this.tooLate();
      yield undefined;
      woken = await wakeUp.wait(Math.min(left, LOOK_EVERY_MS), this.shutdown.signal);
    }
  }

  /** All results, or at least one that says why there will not be all. */
  private async recorded({ id, items }: CompletionOrder): Promise<ItemResult[] | undefined> {
    const { completed, failed } = await this.results.counts(id);
    if (failed === 0 && completed < items) return undefined;
    const results = await Promise.all(Array.from({ length: items }, (_, index) => this.results.get(id, index)));
    return results.filter((result) => result !== undefined);
  }

  /** A job out of attempts has nobody left to record a result. */
  private async failIfGivenUp(order: CompletionOrder): Promise<void> {
    if ((await this.queues.groups.getJobState(order.id)) !== 'failed') return;
    if (!(await this.recorded(order))) {
      throw ApiError.server(500, 'The model could not answer this request.', 'worker_failed');
    }
  }

  private tooLate(): ApiError {
    return ApiError.server(
      504,
      `No answer within ${this.config.chatTimeoutSeconds} s. Is a worker running, and is it busy? See /health.`,
      'timeout',
    );
  }

  private async cleanUp(job: CompletionJob, subscriptions: (() => Promise<void>)[], answered: boolean): Promise<void> {
    const id = job.completionId;
    const done = await Promise.allSettled([
      ...subscriptions.map((unsubscribe) => unsubscribe()),
      this.blobs.delete(job.bodyKey),
      this.results.expire(id, KEPT_SECONDS),
      ...(job.stream ? [this.streams.delete(id)] : []),
      ...(answered ? [] : [this.cancel(id)]),
    ]);
    for (const outcome of done) {
      if (outcome.status === 'rejected') this.logger.warn(`${id}: not cleaned up: ${outcome.reason}`);
    }
  }

  /** Nobody needs it any more: a job that has not begun is removed, one that runs stops. */
  private async cancel(id: string): Promise<void> {
    const remove = async (): Promise<void> => {
      const job = await this.queues.groups.getJob(id);
      await job?.remove().catch(() => undefined);
    };
    await Promise.all([this.cancellations.cancel(id), remove()]);
  }
}

/** @throws ApiError where the item was refused or failed */
function bodyOf({ response, error }: ItemResult): unknown {
  if (!response) throw ApiError.server(500, error?.message ?? 'The worker recorded no answer.', error?.code ?? null);
  if (response.status_code === 200) return response.body;
  const { message, type, param, code } = (response.body as OpenAiErrorBody).error;
  throw new ApiError(response.status_code, type, message, param, code);
}
