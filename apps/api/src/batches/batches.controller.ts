import { Body, Controller, Get, HttpCode, Param, Post, Query, UseGuards } from '@nestjs/common';
import { JsonBodyGuard } from '../errors/validation.js';
import { toBatchObject } from './batch-object.js';
import { BatchesService } from './batches.service.js';
import { CreateBatchDto } from './create-batch.dto.js';
import { ListBatchesQuery } from './list-batches.query.js';

@Controller('v1/batches')
export class BatchesController {
  constructor(private readonly batches: BatchesService) {}

  @Post()
  @UseGuards(JsonBodyGuard)
  @HttpCode(200)
  async create(@Body() request: CreateBatchDto) {
    return toBatchObject(await this.batches.create(request), { total: 0, completed: 0, failed: 0 });
  }

  @Get()
  async list(@Query() query: ListBatchesQuery) {
    const { batches, hasMore } = await this.batches.list(query);
    return {
      object: 'list',
      data: batches.map(({ batch, counts }) => toBatchObject(batch, counts)),
      first_id: batches[0]?.batch.id ?? null,
      last_id: batches.at(-1)?.batch.id ?? null,
      has_more: hasMore,
    };
  }

  @Get(':id')
  async get(@Param('id') id: string) {
    const { batch, counts } = await this.batches.get(id);
    return toBatchObject(batch, counts);
  }
}
