const MOST_CELLS = 24;
const LEAST_CELLS = 8;

/** A progress bar that is drawn over on a terminal; elsewhere a line whenever there is something new to say. */
export class LiveLine {
  private said: string | undefined;

  constructor(private readonly out: NodeJS.WriteStream = process.stdout) {}

  /**
   * @param share done, in [0, 1]
   * @param texts the same in fewer and fewer words: a terminal gets the first that fits beside the bar, else the last one, cut
   * @param news what it takes for another line where lines cannot be drawn over; by default every whole tenth
   */
  show(share: number, texts: readonly [string, ...string[]], news = String(Math.floor(share * 10))): void {
    const percent = `${(100 * share).toFixed(0).padStart(3)} %`;
    if (this.out.isTTY) {
      const columns = this.out.columns || 80;
      const cells = Math.min(MOST_CELLS, Math.max(LEAST_CELLS, Math.floor(columns / 6)));
      const full = Math.round(share * cells);
      const bar = `${'█'.repeat(full)}${'░'.repeat(cells - full)} ${percent}  `;
      const room = columns - 1 - bar.length;
      const text = texts.find(({ length }) => length <= room) ?? texts.at(-1)!;
      // A longer line would wrap, and its first row could not be drawn over.
      this.out.write(`\r${bar}${text.slice(0, Math.max(0, room))}\u001b[K`);
    } else if (news !== this.said) {
      this.out.write(`${percent}  ${texts[0]}\n`);
    }
    this.said = news;
  }

  /** Leaves the line as it is. */
  end(): void {
    if (this.out.isTTY && this.said !== undefined) this.out.write('\n');
    this.said = undefined;
  }
}
