import { createHash } from 'node:crypto';
import { type FileHandle, open } from 'node:fs/promises';
import { KV_TYPES, type KvType, type LlamaShape } from '@app/onnx-graph';
import type { Compression } from './engine-port.js';
import { type HeldEntries, type HeldHead, type HeldPrefix, headBytes, headRoom, holdPrefix } from './held-prefix.js';

/**
 * A compressed cache as a file, little-endian: 4 bytes `LHKV`, uint32 version, uint32 length of the header, the header as JSON
 * (`CacheHeader`), then of every layer and KV head its keys and values in the header's type (as in `HeldHead`), and last the sha256 of all before it.
 */
const MAGIC = 0x564b484c;
/** To be raised with every change of the format. */
const VERSION = 4;
const PREAMBLE_BYTES = 12;
const SHA256_BYTES = 32;
/** A header of more heads than any model has; a damaged length must not become an allocation. */
const MAX_HEADER_BYTES = 1024 * 1024;

/** A cache and what it was made by. */
export interface StoredCache {
  readonly compression: Compression;
  readonly prefix: HeldPrefix;
}

interface CacheHeader extends Compression {
  /** Names the document and all that shaped its cache. */
  readonly key: string;
  readonly tokens: number;
  readonly headSize: number;
  readonly kvType: KvType;
  /** Of every layer and KV head. */
  readonly entries: readonly number[];
}

/** The file is none of ours, of another version, cut short or changed. */
export class DamagedCacheError extends Error {
  override readonly name = 'DamagedCacheError';
}

/** Writes a cache and flushes it to the disk. Head by head: what else the thread has to do goes on in between. */
export async function writeCache(path: string, key: string, headSize: number, cache: StoredCache): Promise<void> {
  const { compression, prefix } = cache;
  const entries = prefix.heads.map((head) => head.entries);
  const kvType = prefix.heads[0]?.keys instanceof Uint16Array ? 'f16' : 'f32';
  const header: CacheHeader = { key, ...compression, tokens: prefix.tokens, headSize, kvType, entries };
  const json = Buffer.from(JSON.stringify(header));
  const preamble = Buffer.alloc(PREAMBLE_BYTES);
  for (const [i, value] of [MAGIC, VERSION, json.length].entries()) preamble.writeUInt32LE(value, 4 * i);
  const hash = createHash('sha256');
  const file = await open(path, 'wx');
  try {
    const append = async (bytes: Uint8Array): Promise<void> => {
      hash.update(bytes);
      await file.writeFile(bytes);
    };
    await append(preamble);
    await append(json);
    for (const { keys, values } of prefix.heads) {
      for (const array of [keys, values]) await append(bytesOf(array));
    }
    await file.writeFile(hash.digest());
    await file.sync();
  } finally {
    await file.close();
  }
}

/**
 * Reads a cache that `writeCache` wrote under the same key.
 * @throws DamagedCacheError; whatever the file system throws
 */
export async function readCache(path: string, key: string, shape: LlamaShape): Promise<StoredCache> {
  const file = await open(path, 'r');
  try {
    const hash = createHash('sha256');
    const read = async (bytes: Uint8Array): Promise<void> => {
      await readWhole(file, bytes);
      hash.update(bytes);
    };
    const preamble = Buffer.alloc(PREAMBLE_BYTES);
    await read(preamble);
    const [magic, version, headerBytes] = [0, 4, 8].map((at) => preamble.readUInt32LE(at)) as [number, number, number];
    if (magic !== MAGIC) throw new DamagedCacheError(`${path} is no cache.`);
    if (version !== VERSION) throw new DamagedCacheError(`${path} has version ${version}, expected ${VERSION}.`);
    if (headerBytes > MAX_HEADER_BYTES) throw new DamagedCacheError(`${path} is damaged.`);
    const json = Buffer.alloc(headerBytes);
    await read(json);
    const { policy, budget, tokens, kvType, entries } = headerOf(json, key, shape);
    const { size } = await file.stat();
    const held = entries.reduce((sum, count) => sum + headBytes(count, shape.headSize, kvType), 0);
    if (size !== PREAMBLE_BYTES + headerBytes + held + SHA256_BYTES) {
      throw new DamagedCacheError(`${path} was cut short or has grown.`);
    }
    const heads: HeldHead[] = [];
    for (const count of entries) {
      const head = headRoom(count, shape.headSize, kvType);
      for (const array of [head.keys, head.values]) await read(bytesOf(array));
      heads.push(head);
    }
    const checksum = Buffer.alloc(SHA256_BYTES);
    await readWhole(file, checksum);
    if (!hash.digest().equals(checksum)) throw new DamagedCacheError(`${path} has changed since it was written.`);
    return { compression: { policy, budget }, prefix: holdPrefix(shape, tokens, heads) };
  } finally {
    await file.close();
  }
}

function headerOf(json: Buffer, key: string, { layers, kvHeads, headSize }: LlamaShape): CacheHeader {
  let header: Partial<CacheHeader> | null;
  try {
    header = JSON.parse(json.toString()) as Partial<CacheHeader> | null;
  } catch {
    throw new DamagedCacheError('The header is not JSON.');
  }
  const { tokens = 0, entries } = header ?? {};
  const fits =
    header?.key === key &&
    header.headSize === headSize &&
    KV_TYPES.some((type) => type === header.kvType) &&
    Array.isArray(entries) &&
    entries.length === layers * kvHeads &&
    entries.every((count) => Number.isInteger(count) && count >= 1 && count <= tokens);
  if (!fits) throw new DamagedCacheError('The header is that of another cache.');
  return header as CacheHeader;
}

async function readWhole(file: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let at = 0; at < bytes.length; ) {
    const { bytesRead } = await file.read(bytes, at, bytes.length - at);
    if (bytesRead === 0) throw new DamagedCacheError('The file was cut short.');
    at += bytesRead;
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: HeldEntries): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);
