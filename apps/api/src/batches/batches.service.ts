import {
  ApiError,
  BatchJobs,
  type BatchQuery,
  type BatchRecord,
  BatchStore,
  FileStore,
  newBatchId,
  parseCompressionRequest,
} from '@app/batches';
import { type ResultCounts, ResultStore } from '@app/results';
import { Injectable } from '@nestjs/common';
import type { CreateBatchDto } from './create-batch.dto.js';

/** A batch and how many of its items are done. */
export interface CountedBatch {
  readonly batch: BatchRecord;
  readonly counts: ResultCounts;
}

@Injectable()
export class BatchesService {
  constructor(
    private readonly batches: BatchStore,
    private readonly files: FileStore,
    private readonly results: ResultStore,
    private readonly jobs: BatchJobs,
  ) {}

  /** Records the batch as `validating` and queues its planning. */
  async create(request: CreateBatchDto): Promise<BatchRecord> {
    const compression = parseCompressionRequest(request.compression);
    const id = newBatchId();
    await this.holdInputFile(request.input_file_id, id);
    const batch: BatchRecord = {
      id,
      endpoint: request.endpoint,
      input_file_id: request.input_file_id,
      completion_window: request.completion_window,
      status: 'validating',
      created_at: Math.floor(Date.now() / 1000),
      ...(request.metadata && { metadata: request.metadata }),
      ...(request.output_expires_after && { output_expires_after: { ...request.output_expires_after } }),
      ...(compression && { compression }),
    };
    await this.batches.create(batch);
    await this.jobs.plan(batch.id);
    return batch;
  }

  /** Throws a 400 `ApiError` where `after` is no batch. */
  async list(query: BatchQuery): Promise<{ batches: CountedBatch[]; hasMore: boolean }> {
    const page = await this.batches.list(query);
    if (!page) {
      const found = `Invalid 'after': there is no batch with the id '${query.after}'.`;
      throw ApiError.invalid(found, 'after', 'invalid_value');
    }
    const counted = page.batches.map(async (batch) => ({ batch, counts: await this.results.counts(batch.id) }));
    return { batches: await Promise.all(counted), hasMore: page.hasMore };
  }

  /** Throws a 404 `ApiError` where there is none. */
  async get(id: string): Promise<CountedBatch> {
    const [batch, counts] = await Promise.all([this.batches.get(id), this.results.counts(id)]);
    if (!batch) throw ApiError.notFound(`No batch found with id '${id}'.`, 'id');
    return { batch, counts };
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
