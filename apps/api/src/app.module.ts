import type { Config } from '@app/config';
import { type DynamicModule, Module } from '@nestjs/common';
import { APP_FILTER, APP_PIPE } from '@nestjs/core';
import { BatchesModule } from './batches/batches.module.js';
import { CompletionsModule } from './completions/completions.module.js';
import { ConnectionsModule } from './connections.module.js';
import { OpenAiExceptionFilter } from './errors/openai-exception.filter.js';
import { RequestPipe } from './errors/validation.js';
import { FilesModule } from './files/files.module.js';
import { HealthModule } from './health/health.module.js';
import { JobsModule } from './jobs/jobs.module.js';
import { ModelsModule } from './models/models.module.js';

@Module({
  imports: [FilesModule, BatchesModule, JobsModule, ModelsModule, CompletionsModule, HealthModule],
  providers: [
    { provide: APP_FILTER, useClass: OpenAiExceptionFilter },
    { provide: APP_PIPE, useClass: RequestPipe },
  ],
})
export class AppModule {}

/** The whole API over one configuration. */
export const apiWith = (config: Config): DynamicModule => ({
  module: AppModule,
  imports: [ConnectionsModule.with(config)],
});
