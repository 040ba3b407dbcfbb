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

  /** Length of the text that no stop string can cut any more, whatever follows. */
  get certain(): number {
    let held = 0;
    for (const stop of this.stops) {
      // A stop string is never whole in the text here, so only a beginning of it can stand at the end.
      let length = Math.min(stop.length - 1, this.text.length);
      while (length > held && !this.text.endsWith(stop.slice(0, length))) length--;
      held = Math.max(held, length);
    }
    return this.text.length - held;
  }

  /** Everything given so far. */
  get all(): string {
    return this.text;
  }
}
