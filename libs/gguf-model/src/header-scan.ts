import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import {
  GgufLimitError,
  GgufMetadataError,
  GgufUnreadableError,
  NotGgufError,
  TruncatedGgufError,
  UnsupportedGgufVersionError,
} from './errors.js';

/**
 * Walks the header of a GGUF file before any of it is parsed, and refuses what no real model has.
 *
 * The parser behind it zero-fills past the end of a file, keeps the last of two equal keys, and allows ten million
 * tensors; so a short file would read as a strange one, and a small one could keep it busy. After this walk every
 * count, length and type in the header is known to be sane and to lie inside the file.
 * Format: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
 */

/** Stops a file that claims billions of keys to keep the reader looping; real models have 20 to 60. */
export const MAX_METADATA_KEYS = 4_096;
/** Stops a tensor table built to exhaust memory; a llama of 126 layers has about 1,140 tensors. */
export const MAX_TENSORS = 65_536;
/** Stops keys and tensor names built to exhaust memory; ggml itself allows 64 bytes for a tensor's name. */
export const MAX_NAME_BYTES = 1_024;
/** Stops a string length that would allocate gigabytes; the longest real one is a chat template of some 20 KB. */
export const MAX_STRING_BYTES = 4 * 1024 * 1024;
/** Stops an array length that would allocate gigabytes; the longest real one holds a vocabulary's merges (under 300,000). */
export const MAX_ARRAY_LENGTH = 1_000_000;
/** Stops arrays nested until the stack overflows; no known key nests at all. */
export const MAX_ARRAY_DEPTH = 2;
/** Stops shapes that make later products overflow; ggml has at most 4 dimensions. */
export const MAX_DIMENSIONS = 4;
/** Stops one dimension that makes products overflow; the largest real one is a vocabulary, about 262,144. */
export const MAX_DIMENSION = 2 ** 31 - 1;
/** Stops a header that is most of a huge file; 150,000 tokens with their merges take under 10 MB. Below the parser's own 50 MB. */
export const MAX_HEADER_BYTES = 48 * 1024 * 1024;

const WINDOW_BYTES = 1024 * 1024;
const ARRAY_TYPE = 9;
const STRING_TYPE = 8;
/** Bytes of one value by GGUF value type; strings and arrays carry their own length. */
const VALUE_BYTES: Readonly<Record<number, number>> = {
  0: 1,
  1: 1,
  2: 2,
  3: 2,
  4: 4,
  5: 4,
  6: 4,
  7: 1,
  10: 8,
  11: 8,
  12: 8,
};

/** What the walk found. */
export interface HeaderExtent {
  readonly fileBytes: number;
  /** First byte after the tensor infos, before alignment. */
  readonly headerBytes: number;
}

/** Walks the header of `path`. Throws a {@link GgufError} for a file that is unreadable, foreign, truncated or hostile. */
export function scanHeader(path: string): HeaderExtent {
  const descriptor = openForReading(path);
  try {
    const fileBytes = fstatSync(descriptor).size;
    const cursor = new HeaderCursor(path, descriptor, fileBytes);
    const tensors = readPreamble(cursor);
    const keys = cursor.count('metadata keys', MAX_METADATA_KEYS);
    const seen = new Set<string>();
    for (let i = 0; i < keys; i++) {
      const key = cursor.name(`metadata key ${i}`);
      refuseRepeated(path, 'metadata key', key, seen);
      skipValue(cursor, key, cursor.uint32(), 0);
    }
    seen.clear();
    for (let i = 0; i < tensors; i++) {
      const name = cursor.name(`tensor ${i}`);
      refuseRepeated(path, 'tensor name', name, seen);
      const dimensions = cursor.uint32();
      if (dimensions > MAX_DIMENSIONS) throw cursor.beyond(`dimensions of ${name}`, dimensions, MAX_DIMENSIONS);
      for (let d = 0; d < dimensions; d++) cursor.count(`elements in dimension ${d} of ${name}`, MAX_DIMENSION);
      cursor.skip(4 + 8); // type and offset: judged with the tensor table
    }
    return { fileBytes, headerBytes: cursor.offset };
  } finally {
    closeSync(descriptor);
  }
}

function openForReading(path: string): number {
  let descriptor: number;
  try {
    descriptor = openSync(path, 'r');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code ?? 'an error';
    const found = code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'a file this user may not read' : code;
    throw new GgufUnreadableError({
      where: path,
      expected: 'a readable GGUF file',
      found,
      advice: 'Check LONGHAUL_MODEL: it must be the path of a .gguf file.',
    });
  }
  if (fstatSync(descriptor).isFile()) return descriptor;
  const found = fstatSync(descriptor).isDirectory() ? 'a directory' : 'something that is not a regular file';
  closeSync(descriptor);
  throw new GgufUnreadableError({
    where: path,
    expected: 'a GGUF file',
    found,
    advice: 'Give the path of the .gguf file itself.',
  });
}

/** Magic and version; returns the tensor count that follows them. */
function readPreamble(cursor: HeaderCursor): number {
  const { path, fileBytes } = cursor;
  const magic = cursor.peek(4);
  if (magic.toString('latin1') !== 'GGUF') {
    throw new NotGgufError({
      where: path,
      expected: 'a GGUF file, which starts with the bytes "GGUF"',
      found: describeForeign(magic, fileBytes),
      advice: 'Download the model as .gguf, or convert it with convert_hf_to_gguf.py of llama.cpp.',
    });
  }
  cursor.skip(4);
  const version = cursor.uint32();
  if (version !== 2 && version !== 3) {
    // a big-endian file has its small version number in the upper bytes
    const found = version !== 0 && (version & 0xffff) === 0 ? 'a big-endian file' : `version ${version}`;
    throw new UnsupportedGgufVersionError({
      where: path,
      expected: 'little-endian GGUF version 2 or 3',
      found,
      advice: 'Convert the model again with a current llama.cpp.',
    });
  }
  return cursor.count('tensors', MAX_TENSORS);
}

const FOREIGN_STARTS: readonly (readonly [string, string])[] = [
  ['PK\x03\x04', 'a zip archive (a PyTorch checkpoint is one)'],
  ['ggml', 'a GGML file of before GGUF'],
  ['ggjt', 'a GGML file of before GGUF'],
  ['tjgg', 'a GGML file of before GGUF'],
  ['lmgg', 'a GGML file of before GGUF'],
  ['\x80\x02', 'a Python pickle'],
  ['\x1f\x8b', 'a gzip file'],
  ['\x08', 'perhaps an ONNX model'],
  ['vers', 'perhaps a Git LFS pointer: run git lfs pull'],
  ['<', 'perhaps a web page: the download may have failed'],
];

function describeForeign(start: Buffer, fileBytes: number): string {
  if (fileBytes === 0) return 'an empty file';
  const text = start.toString('latin1');
  const kind = FOREIGN_STARTS.find(([prefix]) => text.startsWith(prefix))?.[1];
  const bytes = `the bytes ${start.toString('hex').replace(/(..)(?=.)/g, '$1 ')}`;
  return kind === undefined ? bytes : `${bytes}: ${kind}`;
}

function refuseRepeated(path: string, what: string, name: string, seen: Set<string>): void {
  // __proto__ would change the object that the parser collects the metadata in
  if (!seen.has(name) && name !== '__proto__') {
    seen.add(name);
    return;
  }
  throw new GgufMetadataError({
    where: path,
    expected: `every ${what} once`,
    found: `${JSON.stringify(name)} ${seen.has(name) ? 'twice' : 'as a name'}`,
    advice: 'The file is damaged or was made to mislead: download the model again from a source you trust.',
  });
}

function skipValue(cursor: HeaderCursor, key: string, type: number, depth: number): void {
  const bytes = VALUE_BYTES[type];
  if (bytes !== undefined) cursor.skip(bytes);
  else if (type === STRING_TYPE) cursor.skip(cursor.count(`bytes in a string of ${key}`, MAX_STRING_BYTES));
  else if (type === ARRAY_TYPE) skipArray(cursor, key, depth);
  else {
    throw new GgufMetadataError({
      where: cursor.path,
      expected: `a GGUF value type (0 to 12) for ${key}`,
      found: `type ${type} at byte ${cursor.offset}`,
      advice: 'The file is damaged: download the model again.',
    });
  }
}

function skipArray(cursor: HeaderCursor, key: string, depth: number): void {
  if (depth >= MAX_ARRAY_DEPTH) throw cursor.beyond(`nested arrays in ${key}`, depth + 1, MAX_ARRAY_DEPTH);
  const elementType = cursor.uint32();
  const length = cursor.count(`elements of ${key}`, MAX_ARRAY_LENGTH);
  const elementBytes = VALUE_BYTES[elementType];
  if (elementBytes !== undefined) cursor.skip(elementBytes * length);
  else for (let i = 0; i < length; i++) skipValue(cursor, key, elementType, depth + 1);
}

/** Reads forward through the header with one window of the file in memory. */
class HeaderCursor {
  offset = 0;
  private window: Buffer = Buffer.alloc(0);
  private windowStart = 0;

  constructor(
    readonly path: string,
    private readonly descriptor: number,
    readonly fileBytes: number,
  ) {}

  /** Up to `bytes` bytes at the cursor, fewer at the end of the file; does not move. */
  peek(bytes: number): Buffer {
    if (this.offset < this.windowStart || this.offset + bytes > this.windowStart + this.window.length) {
      const window = Buffer.allocUnsafe(Math.max(WINDOW_BYTES, bytes));
      const read = readSync(this.descriptor, window, 0, window.length, this.offset);
      this.window = window.subarray(0, read);
      this.windowStart = this.offset;
    }
    const from = this.offset - this.windowStart;
    return this.window.subarray(from, from + bytes);
  }

  skip(bytes: number): void {
    this.offset += bytes;
    if (this.offset > this.fileBytes) {
      throw new TruncatedGgufError({
        where: this.path,
        expected: `at least ${this.offset} bytes for the header`,
        found: `a file of ${this.fileBytes} bytes`,
        advice: 'The download is incomplete: fetch the model again.',
      });
    }
    if (this.offset > MAX_HEADER_BYTES) throw this.beyond('bytes of header', this.offset, MAX_HEADER_BYTES);
  }

  uint32(): number {
    const from = this.offset;
    this.skip(4);
    this.offset = from;
    const value = this.peek(4).readUInt32LE(0);
    this.offset += 4;
    return value;
  }

  /** A 64-bit count, refused above `limit`. */
  count(what: string, limit: number): number {
    const low = this.uint32();
    const high = this.uint32();
    const value = high * 2 ** 32 + low;
    if (value > limit) throw this.beyond(what, value, limit);
    return value;
  }

  /** A key or a tensor's name. */
  name(what: string): string {
    const bytes = this.count(`bytes in the name of ${what}`, MAX_NAME_BYTES);
    const from = this.offset;
    this.skip(bytes);
    this.offset = from;
    const text = this.peek(bytes).toString('utf8');
    this.offset += bytes;
    return text;
  }

  beyond(what: string, found: number, limit: number): GgufLimitError {
    return new GgufLimitError({
      where: this.path,
      expected: `at most ${limit} ${what}`,
      found: `${found} (before byte ${this.offset})`,
      advice: 'The file is damaged or hostile: download the model again from a source you trust.',
    });
  }
}
