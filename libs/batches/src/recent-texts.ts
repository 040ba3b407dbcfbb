/** Keeps texts while they fit in memory; those used longest ago go first. */
export class RecentTexts {
  private readonly texts = new Map<string, string>();
  private characters = 0;

  constructor(private readonly maxCharacters: number) {}

  get(key: string): string | undefined {
    const text = this.texts.get(key);
    if (text === undefined) return undefined;
    // Put last again: the first entry of the map is the one used longest ago.
    this.texts.delete(key);
    this.texts.set(key, text);
    return text;
  }

  /** @param key not kept yet */
  set(key: string, text: string): void {
    this.texts.set(key, text);
    this.characters += text.length;
    for (const [oldest, { length }] of this.texts) {
      if (this.characters <= this.maxCharacters || oldest === key) break;
      this.texts.delete(oldest);
      this.characters -= length;
    }
  }
}
