import { Module } from '@nestjs/common';
import { BatchesModule } from '../batches/batches.module.js';
import { FilesModule } from '../files/files.module.js';
import { JobFiles } from './job-files.service.js';
import { JobResults } from './job-results.service.js';
import { JobsController } from './jobs.controller.js';
import { JobsService } from './jobs.service.js';

@Module({
  imports: [BatchesModule, FilesModule],
  controllers: [JobsController],
  providers: [JobsService, JobFiles, JobResults],
})
export class JobsModule {}
