import { Body, Controller, Get, HttpCode, Param, Post, Query, UseGuards } from '@nestjs/common';
import { NoFieldsDto } from '../errors/no-fields.dto.js';
import { JsonBodyGuard, NoBodyGuard } from '../errors/validation.js';
import { toBatchObject } from './batch-object.js';
import { BatchesService } from './batches.service.js';
import { CreateBatchDto } from './create-batch.dto.js';
import { ListBatchesQuery } from './list-batches.query.js';

@Controller('v1/batches')
export class BatchesController {
  constructor(private readonly batches: BatchesService) {}

  /** Starts a batch of an uploaded file of requests. */
  @Post()
  @UseGuards(JsonBodyGuard)
  @HttpCode(200)
  async create(@Body() request: CreateBatchDto, @Query() _query: NoFieldsDto) {
    return toBatchObject(await this.batches.create(request));
  }

  /** The batches, newest first. */
  @Get()
  async list(@Query() query: ListBatchesQuery) {
    const { batches, hasMore } = await this.batches.list(query);
    return {
      object: 'list',
      data: batches.map(toBatchObject),
      first_id: batches[0]?.batch.id ?? null,
      last_id: batches.at(-1)?.batch.id ?? null,
      has_more: hasMore,
    };
  }

  /** A batch: its status, counts and files. */
  @Get(':id')
  async get(@Param('id') id: string, @Query() _query: NoFieldsDto) {
    return toBatchObject(await this.batches.get(id));
  }

  /** Ends a batch early; what is answered already stays. */
  @Post(':id/cancel')
  @UseGuards(NoBodyGuard)
  @HttpCode(200)
  async cancel(@Param('id') id: string, @Body() _body: NoFieldsDto, @Query() _query: NoFieldsDto) {
    return toBatchObject(await this.batches.cancel(id));
  }
}
