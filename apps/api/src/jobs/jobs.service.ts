import { ApiError, parseCompressionRequest } from '@app/batches';
import { Config } from '@app/config';
import { Injectable } from '@nestjs/common';
import { BatchesService, type CountedBatch } from '../batches/batches.service.js';
import type { CreateJobDto } from './create-job.dto.js';
import { JobFiles } from './job-files.service.js';
import { checkOptions, JOB_ENDPOINT, jobLines } from './job-lines.js';
import { parseDocuments, parsePairs, parseQuestions } from './job-parts.js';

/** Makes batches of documents and questions: a job is one, under the batch's own id. */
@Injectable()
export class JobsService {
  constructor(
    private readonly config: Config,
    private readonly batches: BatchesService,
    private readonly files: JobFiles,
  ) {}

  /** Throws an `ApiError` where a part is wrong; then nothing of it stays. */
  async create(request: CreateJobDto): Promise<CountedBatch> {
    const documents = parseDocuments(request.documents);
    const questions = parseQuestions(request.questions);
    this.checkCount(Array.isArray(request.pairs) ? request.pairs.length : documents.length * questions.length);
    const pairs = parsePairs(request.pairs, documents.length, questions.length);
    const job = { model: request.model ?? this.config.modelId, system: request.system, options: request.options };
    if (job.model !== this.config.modelId) throw ApiError.modelNotFound(job.model);
    checkOptions(job);
    parseCompressionRequest(request.compression);
    const { completion_window, metadata, output_expires_after, compression } = request;
    return this.files.keepIf(async (written) => {
      const filed = await this.files.documents(documents, written);
      return this.batches.create({
        input_file_id: await this.files.batchFile(jobLines(filed, questions, pairs, job), written),
        endpoint: JOB_ENDPOINT,
        completion_window,
        ...(metadata && { metadata }),
        ...(output_expires_after && { output_expires_after }),
        ...(compression !== undefined && { compression }),
      });
    });
  }

  private checkCount(items: number): void {
    const most = this.config.maxBatchLines;
    if (items <= most) return;
    const found = `The job has ${items} items (a question about a document); at most ${most} are allowed. Split it.`;
    throw ApiError.invalid(found, 'questions', 'too_many_items');
  }
}
