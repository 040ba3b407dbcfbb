import { BatchFinalizer, type FinalizingJob } from '@app/batches';
import { Injectable } from '@nestjs/common';
import type { Job } from 'bullmq';

/** Ends batches whose items are all recorded. */
@Injectable()
export class FinalizingProcessor {
  constructor(private readonly finalizer: BatchFinalizer) {}

  async process({ data }: Job<FinalizingJob>): Promise<void> {
    await this.finalizer.finalize(data.batchId);
  }
}
