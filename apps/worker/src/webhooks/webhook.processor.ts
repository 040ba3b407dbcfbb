import { BatchStore, batchEvent, type WebhookJob } from '@app/batches';
import { Config } from '@app/config';
import { Injectable, Logger } from '@nestjs/common';
import type { Job } from 'bullmq';
import { postWebhook } from './post-webhook.js';

/** Tells the end of a batch; the queue tries again, less and less often. */
@Injectable()
export class WebhookProcessor {
  private readonly logger = new Logger(WebhookProcessor.name);

  constructor(
    private readonly config: Config,
    private readonly batches: BatchStore,
  ) {}

  async process({ data }: Job<WebhookJob>): Promise<void> {
    const { webhook } = this.config;
    const batch = webhook && (await this.batches.get(data.batchId));
    if (!batch) return;
    const event = batchEvent(batch);
    if (!event) throw new Error(`batch=${batch.id} has not ended yet`);
    await postWebhook(webhook, event.id, JSON.stringify(event));
    this.logger.log(`told ${event.type} batch=${batch.id}`);
  }
}
