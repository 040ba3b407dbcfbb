/** Finds special tokens in text: leftmost first, of several at one place the longest. */
export class ControlTokenSplitter {
  private readonly pattern: RegExp | undefined;

  /** `ids` by token text. A text of one character is never found: {@link breakTokens} could not break it. */
  constructor(private readonly ids: ReadonlyMap<string, number>) {
    const longestFirst = [...ids.keys()].filter((text) => text.length > 1).sort((a, b) => b.length - a.length);
    if (longestFirst.length === 0) return;
    this.pattern = new RegExp(longestFirst.map(escapeForRegExp).join('|'), 'g');
  }

  /** Token ids of `text`: special tokens as they are, every run between them through `encodeRun`, whole. */
  encode(text: string, encodeRun: (run: string) => number[]): number[] {
    if (this.pattern === undefined) return encodeRun(text);
    const runs: number[][] = [];
    let end = 0;
    for (const match of text.matchAll(this.pattern)) {
      if (match.index > end) runs.push(encodeRun(text.slice(end, match.index)));
      runs.push([this.ids.get(match[0])!]);
      end = match.index + match[0].length;
    }
    if (end < text.length) runs.push(encodeRun(text.slice(end)));
    return runs.flat();
  }

  /** `text` with `breaker` after the first character of every special token in it, so that none is found any more. */
  breakTokens(text: string, breaker: string): string {
    if (this.pattern === undefined) return text;
    // a token may start inside another one, so each is broken where it starts and the search goes on right behind it
    const pattern = new RegExp(this.pattern.source, 'g');
    let broken = '';
    let end = 0;
    for (let match = pattern.exec(text); match !== null; match = pattern.exec(text)) {
      broken += text.slice(end, match.index + 1) + breaker;
      end = match.index + 1;
      pattern.lastIndex = end;
    }
    return broken + text.slice(end);
  }
}

function escapeForRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/-]/g, '\\$&');
}
