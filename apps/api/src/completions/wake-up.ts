/** Lets one waiter be woken by an event, a timeout or an abort, and never misses an event between two waits. */
export class WakeUp {
  private woken = false;
  private resume: (() => void) | undefined;

  wake(): void {
    this.woken = true;
    this.resume?.();
  }

  /** Whether it was woken, rather than the time up. */
  async wait(milliseconds: number, abort: AbortSignal): Promise<boolean> {
    if (!this.woken && !abort.aborted) {
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, milliseconds);
        this.resume = () => {
          clearTimeout(timer);
          resolve();
        };
        abort.addEventListener('abort', this.resume, { once: true });
      });
      if (this.resume) abort.removeEventListener('abort', this.resume);
    }
    const { woken } = this;
    this.woken = false;
    this.resume = undefined;
    return woken;
  }
}
