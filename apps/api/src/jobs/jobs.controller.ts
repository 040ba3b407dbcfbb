import { Readable } from 'node:stream';
import {
  Body,
  Controller,
  Get,
  HttpCode,
  Param,
  Post,
  Query,
  Req,
  Res,
  StreamableFile,
  UseGuards,
} from '@nestjs/common';
import type { Request, Response } from 'express';
import { BatchesService } from '../batches/batches.service.js';
import { ListBatchesQuery } from '../batches/list-batches.query.js';
import { clientGone, sendEvents } from '../completions/event-stream.js';
import { NoFieldsDto } from '../errors/no-fields.dto.js';
import { errorResponse } from '../errors/openai-exception.filter.js';
import { JsonBodyGuard, NoBodyGuard } from '../errors/validation.js';
import { CreateJobDto } from './create-job.dto.js';
import { toJobObject } from './job-object.js';
import { JobResultsQuery } from './job-results.query.js';
import { JobResults } from './job-results.service.js';
import { JobsService } from './jobs.service.js';
import { ROW_FORMATS } from './row-formats.js';

/** Questions about documents, without JSONL. A job is a batch, under the same id: all that works on the one works on the other. */
@Controller('v1/jobs')
export class JobsController {
  constructor(
    private readonly jobs: JobsService,
    private readonly batches: BatchesService,
    private readonly results: JobResults,
  ) {}

  /** Asks questions of documents. */
  @Post()
  @UseGuards(JsonBodyGuard)
  @HttpCode(200)
  async create(@Body() request: CreateJobDto, @Query() _query: NoFieldsDto) {
    return toJobObject(await this.jobs.create(request));
  }

  /** The jobs and all other batches, newest first. */
  @Get()
  async list(@Query() query: ListBatchesQuery) {
    const { batches, hasMore } = await this.batches.list(query);
    return {
      object: 'list',
      data: batches.map(toJobObject),
      first_id: batches[0]?.batch.id ?? null,
      last_id: batches.at(-1)?.batch.id ?? null,
      has_more: hasMore,
    };
  }

  /** A job: its status and counts. */
  @Get(':id')
  async get(@Param('id') id: string, @Query() _query: NoFieldsDto) {
    return toJobObject(await this.batches.get(id));
  }

  /** Ends a job early; what is answered already stays. */
  @Post(':id/cancel')
  @UseGuards(NoBodyGuard)
  @HttpCode(200)
  async cancel(@Param('id') id: string, @Body() _body: NoFieldsDto, @Query() _query: NoFieldsDto) {
    return toJobObject(await this.batches.cancel(id));
  }

  /** Server-sent events: the job, each item as it finishes, the job as it ended, [DONE]. */
  @Get(':id/events')
  async events(
    @Param('id') id: string,
    @Query() _query: NoFieldsDto,
    @Req() request: Request,
    @Res() response: Response,
  ): Promise<void> {
    const events = this.results.events(id, clientGone(response));
    await sendEvents(response, events, (error) => errorResponse(error, request).toBody());
  }

  /** What is finished so far; all of it once the job has ended. */
  @Get(':id/results')
  async rows(@Param('id') id: string, @Query() { format }: JobResultsQuery): Promise<StreamableFile> {
    const { batch } = await this.batches.get(id);
    const { type, write } = ROW_FORMATS[format];
    const disposition = `attachment; filename="${batch.id}.${format}"`;
    return new StreamableFile(Readable.from(write(this.results.rows(batch))), { type, disposition });
  }
}
