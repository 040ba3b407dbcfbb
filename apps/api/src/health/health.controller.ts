import { Controller, Get, Query, Res } from '@nestjs/common';
import type { Response } from 'express';
import { NoFieldsDto } from '../errors/no-fields.dto.js';
import { HealthService } from './health.service.js';

@Controller('health')
export class HealthController {
  constructor(private readonly health: HealthService) {}

  /** Whether Redis and workers are there; 503 where not. */
  @Get()
  async get(@Query() _query: NoFieldsDto, @Res({ passthrough: true }) response: Response) {
    const health = await this.health.check();
    response.status(health.status === 'ok' ? 200 : 503);
    return health;
  }
}
