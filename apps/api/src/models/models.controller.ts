import { statSync } from 'node:fs';
import { ApiError } from '@app/batches';
import { Config } from '@app/config';
import { Controller, Get, Param, Query } from '@nestjs/common';
import { NoFieldsDto } from '../errors/no-fields.dto.js';

/** The one model this deployment serves. */
@Controller('v1/models')
export class ModelsController {
  private readonly model: { id: string; object: 'model'; created: number; owned_by: string };

  constructor(config: Config) {
    // An API on another machine than the workers may have no model file: then the model is as old as the API.
    const file = statSync(config.modelPath, { throwIfNoEntry: false });
    const created = Math.floor((file?.mtimeMs ?? Date.now()) / 1000);
    this.model = { id: config.modelId, object: 'model', created, owned_by: 'longhaul' };
  }

  /** The models that are served. */
  @Get()
  list(@Query() _query: NoFieldsDto) {
    return { object: 'list', data: [this.model] };
  }

  /** One model. */
  @Get(':id')
  get(@Param('id') id: string, @Query() _query: NoFieldsDto) {
    if (id !== this.model.id) throw ApiError.modelNotFound(id);
    return this.model;
  }
}
