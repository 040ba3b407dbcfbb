import { BatchReconciler } from '@app/batches';
import { Injectable, Logger } from '@nestjs/common';

const INTERVAL_MS = 10_000;

/** Looks for lost jobs now and then, one look at a time. */
@Injectable()
export class ReconcilerTimer {
  private readonly logger = new Logger(ReconcilerTimer.name);
  private timer: NodeJS.Timeout | undefined;
  private look: Promise<void> = Promise.resolve();
  private stopped = false;

  constructor(private readonly reconciler: BatchReconciler) {}

  start(): void {
    this.look = this.reconciler.reconcile().catch((error: Error) => this.logger.warn(error.message));
    void this.look.then(() => {
      if (!this.stopped) this.timer = setTimeout(() => this.start(), INTERVAL_MS);
    });
  }

  async stop(): Promise<void> {
    this.stopped = true;
    clearTimeout(this.timer);
    await this.look;
  }
}
