/**
 * GPT-2's reversible map of bytes to printable characters, in which byte-level BPE vocabularies are written:
 * printable Latin-1 stands for itself, every other byte for the next free character from U+0100 on.
 * Source: `bytes_to_unicode` of https://github.com/openai/gpt-2/blob/master/src/encoder.py
 */
export const BYTE_TO_CHARACTER: readonly string[] = buildByteCharacters();

const CHARACTER_TO_BYTE: ReadonlyMap<string, number> = new Map(
  BYTE_TO_CHARACTER.map((character, byte) => [character, byte]),
);

function buildByteCharacters(): string[] {
  const characters: string[] = [];
  let next = 0x100;
  for (let byte = 0; byte < 256; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    characters.push(String.fromCharCode(printable ? byte : next++));
  }
  return characters;
}

const utf8 = new TextEncoder();

/** The bytes a vocabulary entry stands for. Characters outside the map (no real vocabulary has them) give their UTF-8. */
export function tokenTextToBytes(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const character of text) {
    const byte = CHARACTER_TO_BYTE.get(character);
    if (byte === undefined) bytes.push(...utf8.encode(character));
    else bytes.push(byte);
  }
  return Uint8Array.from(bytes);
}
