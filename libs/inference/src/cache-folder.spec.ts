import { mkdtempSync, readdirSync, readFileSync, rmSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { KV_TYPES, type KvType, type LlamaShape } from '@app/onnx-graph';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { StoredCache } from './cache-file.js';
import { CacheFolder } from './cache-folder.js';
import { type HeldHead, heldBytes, holdAs, holdHead, holdPrefix } from './held-prefix.js';
import { seededRandom } from './random.js';

const shape = { layers: 2, kvHeads: 2, headSize: 8, queryHeads: 4, contextLength: 512 } as LlamaShape;
const random = seededRandom(4);
const values = (count: number): Float32Array => Float32Array.from({ length: count }, random);

/** Heads of different lengths. */
const cache = (tokens = 40, kvType: KvType = 'f32'): StoredCache => {
  const heads = [tokens, 1, 7, 12].map((entries): HeldHead => {
    return holdAs(
      kvType,
      holdHead({ keys: values(entries * 8), values: values(entries * 8), logMass: values(entries) }, 8),
    );
  });
  return { compression: { policy: 'kvmerger', budget: 0.4 }, prefix: holdPrefix(shape, tokens, heads) };
};
const size = ({ prefix }: StoredCache): number => heldBytes(prefix);

let path: string;
let folder: CacheFolder;
beforeEach(() => {
  path = mkdtempSync(join(tmpdir(), 'longhaul-spill-'));
  folder = new CacheFolder(path, 1e6, shape);
});
afterEach(() => rmSync(path, { recursive: true, force: true }));

describe('caches on disk', () => {
  test.each(KV_TYPES)('come back as they were, also to another process: %s', async (kvType) => {
    const stored = cache(40, kvType);
    expect(await folder.store('a', size(stored), stored)).toBe(true);
    const found = await new CacheFolder(path, 1e6, shape).find('a');
    expect(found?.compression).toEqual(stored.compression);
    expect(found?.prefix.tokens).toBe(40);
    expect(found?.prefix.heads).toEqual(stored.prefix.heads);
    expect(Object.keys(found?.prefix.feeds ?? {})).toEqual(Object.keys(stored.prefix.feeds));
    expect(await folder.find('b')).toBeUndefined();
    expect(readdirSync(path)).toEqual(['a.kv']);
  });

  test('are not found and go away once they are damaged, wherever', async () => {
    const stored = cache();
    await folder.store('a', size(stored), stored);
    const whole = readFileSync(join(path, 'a.kv'));
    const places = [0, 4, 8, 10, 13, 60, 300, whole.length - 40, whole.length - 1];
    const damaged = places.map((at) => {
      const bytes = Buffer.from(whole);
      bytes[at]! ^= 0xff;
      return bytes;
    });
    damaged.push(Buffer.alloc(0), whole.subarray(0, 11), whole.subarray(0, -1), Buffer.concat([whole, whole]));
    for (const bytes of damaged) {
      writeFileSync(join(path, 'a.kv'), bytes);
      expect(await folder.find('a')).toBeUndefined();
      expect(readdirSync(path)).toEqual([]);
    }
    writeFileSync(join(path, 'a.kv'), whole);
    expect(await folder.find('a')).toBeDefined();
    // Under another name, or of another model.
    writeFileSync(join(path, 'b.kv'), whole);
    expect(await folder.find('b')).toBeUndefined();
    expect(await new CacheFolder(path, 1e6, { ...shape, kvHeads: 1 }).find('a')).toBeUndefined();
  });

  test('stay within their bytes: the one used least recently goes', async () => {
    const stored = cache();
    const room = new CacheFolder(path, 2.5 * (size(stored) + 400), shape);
    await room.store('a', size(stored), stored);
    await room.store('b', size(stored), stored);
    for (const [name, seconds] of [
      ['a', 1000],
      ['b', 2000],
    ] as const) {
      utimesSync(join(path, `${name}.kv`), seconds, seconds);
    }
    expect(await room.find('a')).toBeDefined();
    await room.store('c', size(stored), stored);
    expect(readdirSync(path).sort()).toEqual(['a.kv', 'c.kv']);
    const large = cache(500);
    expect(await room.store('d', size(large), large)).toBe(false);
    expect(readdirSync(path).sort()).toEqual(['a.kv', 'c.kv']);
    // A folder that holds more than it may, since it may hold less now.
    await new CacheFolder(path, size(stored) + 400, shape).find('x');
    expect(readdirSync(path)).toHaveLength(1);
  });

  test('leave nothing half-written, and nothing of a process that was killed', async () => {
    writeFileSync(join(path, 'old.unfinished'), 'x');
    utimesSync(join(path, 'old.unfinished'), 1000, 1000);
    writeFileSync(join(path, 'new.unfinished'), 'x');
    const stored = cache();
    await new CacheFolder(path, 1e6, shape).store('a', size(stored), stored);
    expect(readdirSync(path).sort()).toEqual(['a.kv', 'new.unfinished']);
    truncateSync(join(path, 'new.unfinished'), 0);
  });

  test('are no error where the disk is not there', async () => {
    writeFileSync(join(path, 'file'), '');
    const nowhere = new CacheFolder(join(path, 'file', 'folder'), 1e6, shape);
    const stored = cache();
    expect(await nowhere.store('a', size(stored), stored)).toBe(false);
    expect(await nowhere.find('a')).toBeUndefined();
  });
});
