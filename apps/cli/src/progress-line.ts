const WIDTH = 30;

/** One line of progress with an estimate of the time left; on a terminal it is drawn over, elsewhere a line each tenth. */
export class ProgressLine {
  private readonly start = performance.now();
  private tenths = -1;

  constructor(private readonly label: string) {}

  /** @param share done, in [0, 1] */
  show(share: number): void {
    const elapsed = (performance.now() - this.start) / 1000;
    const left = share > 0 ? (elapsed / share) * (1 - share) : 0;
    const text = `${this.label} ${(100 * share).toFixed(0).padStart(3)} %  ${clock(elapsed)} gone, about ${clock(left)} left`;
    if (process.stdout.isTTY) {
      const filled = Math.round(share * WIDTH);
      process.stdout.write(`\r[${'#'.repeat(filled)}${'.'.repeat(WIDTH - filled)}] ${text}\u001b[K`);
    } else if (Math.floor(share * 10) > this.tenths) {
      this.tenths = Math.floor(share * 10);
      console.log(text);
    }
  }

  end(): void {
    if (process.stdout.isTTY) process.stdout.write('\n');
  }
}

const clock = (seconds: number): string => {
  const whole = Math.round(seconds);
  return `${Math.floor(whole / 60)}:${String(whole % 60).padStart(2, '0')}`;
};
