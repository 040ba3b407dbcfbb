import { LiveLine } from './live-line.js';
import { clock } from './plain-text.js';

/** One line of progress with an estimate of the time left. */
export class ProgressLine {
  private readonly start = performance.now();
  private readonly line: LiveLine;

  constructor(
    private readonly label: string,
    out: NodeJS.WriteStream,
  ) {
    this.line = new LiveLine(out);
  }

  /** @param share done, in [0, 1] */
  show(share: number): void {
    const elapsed = (performance.now() - this.start) / 1000;
    const left = share > 0 ? (elapsed / share) * (1 - share) : 0;
    this.line.show(share, [`${this.label}  ${clock(elapsed)} gone, about ${clock(left)} left`]);
  }

  end(): void {
    this.line.end();
  }
}
