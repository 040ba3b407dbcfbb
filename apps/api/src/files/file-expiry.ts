import { FileRemover } from '@app/batches';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';

const SWEEP_EVERY_MS = 60 * 1000;
/** Looking at every blob there is takes longer. */
const SWEEP_ORPHANS_EVERY_MS = 3600 * 1000;
/** No upload and no completion takes as long. */
const ORPHAN_AFTER_MS = 24 * 3600 * 1000;

/** Removes expired files, and what was left behind by processes that were killed, now and then. Any number of API processes may do so at the same time. */
@Injectable()
export class FileExpiry implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Files');
  private timer: NodeJS.Timeout | undefined;
  private nextOrphans = Date.now() + SWEEP_ORPHANS_EVERY_MS;
  private sweeping: Promise<void> = Promise.resolve();

  constructor(private readonly remover: FileRemover) {}

  onApplicationBootstrap(): void {
    const sweep = (): void => {
      this.sweeping = this.sweeping.then(() => this.sweep());
    };
    sweep();
    this.timer = setInterval(sweep, SWEEP_EVERY_MS).unref();
  }

  async beforeApplicationShutdown(): Promise<void> {
    clearInterval(this.timer);
    await this.sweeping;
  }

  private async sweep(): Promise<void> {
    try {
      const now = Date.now();
      await this.remover.sweep(Math.floor(now / 1000));
      if (now < this.nextOrphans) return;
      await this.remover.sweepOrphans(now - ORPHAN_AFTER_MS);
      this.nextOrphans = now + SWEEP_ORPHANS_EVERY_MS;
    } catch (error) {
      this.logger.warn(`Expired files not removed, will try again: ${error}`);
    }
  }
}
