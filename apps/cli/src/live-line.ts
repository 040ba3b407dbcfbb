const CELLS = 24;

/** A progress bar that is drawn over on a terminal; elsewhere a line whenever there is something new to say. */
export class LiveLine {
  private said: string | undefined;

  constructor(private readonly out: NodeJS.WriteStream = process.stdout) {}

  /**
   * @param share done, in [0, 1]
   * @param news what it takes for another line where lines cannot be drawn over; by default every whole tenth
   */
  show(share: number, text: string, news = String(Math.floor(share * 10))): void {
    const percent = `${(100 * share).toFixed(0).padStart(3)} %`;
    if (this.out.isTTY) {
      const full = Math.round(share * CELLS);
      const line = `${'█'.repeat(full)}${'░'.repeat(CELLS - full)} ${percent}  ${text}`;
      // A longer line would wrap, and its first row could not be drawn over.
      this.out.write(`\r${line.slice(0, (this.out.columns || 80) - 1)}\u001b[K`);
    } else if (news !== this.said) {
      this.out.write(`${percent}  ${text}\n`);
    }
    this.said = news;
  }

  /** Leaves the line as it is. */
  end(): void {
    if (this.out.isTTY && this.said !== undefined) this.out.write('\n');
    this.said = undefined;
  }
}
