/** Finds where an answer must end. Text is given piece by piece as it is generated. */
export class StopStrings {
  private text = '';

  constructor(private readonly stops: readonly string[]) {}

  /** Appends a piece; the answer up to the first stop string in it, or undefined where there is none yet. */
  push(piece: string): string | undefined {
    const longest = Math.max(0, ...this.stops.map((stop) => stop.length));
    // A stop string may have begun in earlier pieces, but no further back than its own length.
    const from = Math.max(0, this.text.length - longest + 1);
    this.text += piece;
    const found = this.stops.map((stop) => this.text.indexOf(stop, from)).filter((at) => at >= 0);
    return found.length === 0 ? undefined : this.text.slice(0, Math.min(...found));
  }

  /** Everything given so far. */
  get all(): string {
    return this.text;
  }
}
