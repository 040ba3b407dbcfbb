import { Body, Controller, Get, HttpCode, Param, Post, UseGuards } from '@nestjs/common';
import { JsonBodyGuard } from '../errors/validation.js';
import { toBatchObject } from './batch-object.js';
import { BatchesService } from './batches.service.js';
import { CreateBatchDto } from './create-batch.dto.js';

@Controller('v1/batches')
export class BatchesController {
  constructor(private readonly batches: BatchesService) {}

  @Post()
  @UseGuards(JsonBodyGuard)
  @HttpCode(200)
  async create(@Body() request: CreateBatchDto) {
    return toBatchObject(await this.batches.create(request), { total: 0, completed: 0, failed: 0 });
  }

  @Get(':id')
  async get(@Param('id') id: string) {
    const { batch, counts } = await this.batches.get(id);
    return toBatchObject(batch, counts);
  }
}
