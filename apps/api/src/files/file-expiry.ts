import { FileRemover } from '@app/batches';
import { type BeforeApplicationShutdown, Injectable, Logger, type OnApplicationBootstrap } from '@nestjs/common';

const SWEEP_EVERY_MS = 60 * 1000;

/** Removes expired files now and then. Any number of API processes may do so at the same time. */
@Injectable()
export class FileExpiry implements OnApplicationBootstrap, BeforeApplicationShutdown {
  private readonly logger = new Logger('Files');
  private timer: NodeJS.Timeout | undefined;
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
      await this.remover.sweep(Math.floor(Date.now() / 1000));
    } catch (error) {
      this.logger.warn(`Expired files not removed, will try again: ${error}`);
    }
  }
}
