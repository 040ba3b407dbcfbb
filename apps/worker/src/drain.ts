import { Injectable } from '@nestjs/common';

/** The work goes back to its queue: another worker, or the next start of this one, goes on with it. */
export class HandBackError extends Error {
  override readonly name = 'HandBackError';
  constructor() {
    super('The worker is stopping; the job goes back to its queue.');
  }
}

/** Tells everything that runs when the worker has to stop: SIGTERM, Ctrl-C, or an engine that is gone. */
@Injectable()
export class Drain {
  private readonly startedBy = new AbortController();
  private readonly overdueBy = new AbortController();

  /** Take nothing new; finish the item under way, hand back the rest (`throwIfAborted` throws `HandBackError`). */
  readonly started = this.startedBy.signal;
  /** The time is up: give the item under way up, too. */
  readonly overdue = this.overdueBy.signal;

  /** @param seconds that the item under way may take */
  start(seconds: number): void {
    if (this.started.aborted) return;
    this.startedBy.abort(new HandBackError());
    setTimeout(() => this.overdueBy.abort(), seconds * 1000).unref();
  }
}
