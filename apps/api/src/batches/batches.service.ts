import {
  ApiError,
  BatchJobs,
  type BatchQuery,
  type BatchRecord,
  BatchStore,
  completionSeconds,
  FileStore,
  newBatchId,
  parseCompressionRequest,
} from '@app/batches';
import { Config } from '@app/config';
import { Cancellations, type ResultCounts, ResultStore, type TokenUsage } from '@app/results';
import { Injectable } from '@nestjs/common';
import type { CreateBatchDto } from './create-batch.dto.js';

/** A batch, how many of its items are done, and what these took. */
export interface CountedBatch {
  readonly batch: BatchRecord;
  readonly counts: ResultCounts;
  readonly usage: TokenUsage;
}

@Injectable()
export class BatchesService {
  constructor(
    private readonly config: Config,
    private readonly batches: BatchStore,
    private readonly files: FileStore,
    private readonly results: ResultStore,
    private readonly jobs: BatchJobs,
    private readonly cancellations: Cancellations,
  ) {}

  /** Records the batch as `validating` and queues its planning. */
  async create(request: CreateBatchDto): Promise<CountedBatch> {
    const compression = parseCompressionRequest(request.compression);
    const id = newBatchId();
    await this.holdInputFile(request.input_file_id, id);
    const created_at = unixSeconds();
    const batch: BatchRecord = {
      id,
      endpoint: request.endpoint,
      model: this.config.modelId,
      input_file_id: request.input_file_id,
      completion_window: request.completion_window,
      status: 'validating',
      created_at,
      expires_at: created_at + (completionSeconds(request.completion_window) ?? 0),
      ...(request.metadata && { metadata: request.metadata }),
      ...(request.output_expires_after && { output_expires_after: { ...request.output_expires_after } }),
      ...(compression && { compression }),
    };
    await this.batches.create(batch);
    await this.jobs.plan(batch.id);
    return this.counted(batch);
  }

  /** Throws a 400 `ApiError` where `after` is no batch. */
  async list(query: BatchQuery): Promise<{ batches: CountedBatch[]; hasMore: boolean }> {
    const page = await this.batches.list(query);
    if (!page) {
      const found = `Invalid 'after': there is no batch with the id '${query.after}'.`;
      throw ApiError.invalid(found, 'after', 'invalid_value');
    }
    return { batches: await Promise.all(page.batches.map((batch) => this.counted(batch))), hasMore: page.hasMore };
  }

  /** Throws a 404 `ApiError` where there is none. */
  async get(id: string): Promise<CountedBatch> {
    const batch = await this.batches.get(id);
    if (!batch) throw ApiError.notFound(`No batch found with id '${id}'.`, 'id');
    return this.counted(batch);
  }

  /** What is answered already stays. Throws an `ApiError`: 404 where there is none, 409 where it is ending or has ended. */
  async cancel(id: string): Promise<CountedBatch> {
    const { batch } = await this.get(id);
    const change = { status: 'cancelling', cancelling_at: unixSeconds() } as const;
    if (!(await this.batches.transition(id, ['validating', 'in_progress'], change))) {
      const { status } = (await this.get(id)).batch;
      throw new ApiError(409, 'invalid_request_error', `Cannot cancel a batch with status '${status}'.`, 'id');
    }
    await this.cancellations.cancel(id);
    await this.jobs.endEarly(batch);
    // As it was when it was cancelled: by now it may have ended.
    return this.counted({ ...batch, ...change });
  }

  private async counted(batch: BatchRecord): Promise<CountedBatch> {
    const [counts, usage] = await Promise.all([this.results.counts(batch.id), this.results.usage(batch.id)]);
    return { batch, counts, usage };
  }

  /** From here on the file cannot be deleted until the batch has ended. */
  private async holdInputFile(fileId: string, batchId: string): Promise<void> {
    const file = await this.files.get(fileId);
    if (file && file.purpose !== 'batch') {
      throw ApiError.invalid(
        `Invalid 'input_file_id': file ${fileId} has purpose '${file.purpose}', a batch needs one uploaded with purpose 'batch'.`,
        'input_file_id',
        'invalid_value',
      );
    }
    if (!(await this.files.hold(fileId, batchId))) throw ApiError.noSuchFile(fileId, 'input_file_id');
  }
}

const unixSeconds = (): number => Math.floor(Date.now() / 1000);
