/** Shorter blocks are found again more often, longer ones cost less to look up. */
const BLOCK_CHARACTERS = 2048;
/** Text whose ids are kept: some 100 long documents, with ids and strings about 30 MB. */
const MAX_CACHED_CHARACTERS = 4 * 1024 * 1024;

/**
 * A place where text can be cut without changing any id: every pre-tokenizer ends a word between an ASCII letter and a
 * space or line feed, and none looks back at what came before. (Letters of other scripts will not do: deepseek-llm
 * leaves some of them in one piece with the space that follows.)
 */
const WORD_END = /[A-Za-z](?=[ \n])/g;

/**
 * Encodes texts that begin alike, such as many questions on one document, in little more time than their different ends
 * take: long texts are cut into blocks at word ends, counted from their start, and the ids of recent blocks are kept.
 */
export class BlockEncoder {
  /** By text; the first entry is the one used longest ago. */
  private readonly blocks = new Map<string, readonly number[]>();
  private cached = 0;

  /** @param encode ids of a text without special tokens */
  constructor(
    private readonly encodeText: (text: string) => number[],
    private readonly blockCharacters = BLOCK_CHARACTERS,
    private readonly maxCachedCharacters = MAX_CACHED_CHARACTERS,
  ) {}

  /** The same ids as those of the text as a whole. */
  encode(text: string): number[] {
    const ids: number[] = [];
    let from = 0;
    while (text.length - from > this.blockCharacters) {
      WORD_END.lastIndex = from + this.blockCharacters - 1;
      const end = WORD_END.exec(text);
      if (end === null) break;
      for (const id of this.block(text.slice(from, end.index + 1))) ids.push(id);
      from = end.index + 1;
    }
    for (const id of this.encodeText(text.slice(from))) ids.push(id);
    return ids;
  }

  private block(text: string): readonly number[] {
    let ids = this.blocks.get(text);
    if (ids === undefined) {
      ids = this.encodeText(text);
      this.cached += text.length;
    }
    this.blocks.delete(text);
    this.blocks.set(text, ids);
    for (const oldest of this.blocks.keys()) {
      if (this.cached <= this.maxCachedCharacters) break;
      this.blocks.delete(oldest);
      this.cached -= oldest.length;
    }
    return ids;
  }
}
