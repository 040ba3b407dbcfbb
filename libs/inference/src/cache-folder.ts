import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import type { LlamaShape } from '@app/onnx-graph';
import { readCache, type StoredCache, writeCache } from './cache-file.js';

const ENDING = '.kv';
/** Of a file that is being written, or was when its process ended. */
const UNFINISHED = '.unfinished';
/** No file takes that long to be written. */
const ABANDONED_MS = 3_600_000;

/**
 * Caches on disk, within a limit of bytes: those used least recently go. Several workers may share a folder. Nothing here is
 * needed: a file that is missing or damaged, a disk that is full or away, are the same as a cache that was never stored.
 */
export class CacheFolder {
  private readonly ready: Promise<void>;

  constructor(
    private readonly folder: string,
    private readonly limitBytes: number,
    private readonly shape: LlamaShape,
  ) {
    this.ready = this.prepare().catch(() => undefined);
  }

  /** Whether it is on the disk afterwards. */
  async store(key: string, bytes: number, cache: StoredCache): Promise<boolean> {
    await this.ready;
    const path = this.pathOf(key);
    if (await touch(path)) return true;
    if (!(await this.makeRoom(bytes))) return false;
    const unfinished = join(this.folder, `${randomUUID()}${UNFINISHED}`);
    try {
      await writeCache(unfinished, key, this.shape.headSize, cache);
      await rename(unfinished, path);
      return true;
    } catch {
      await rm(unfinished, { force: true }).catch(() => undefined);
      return false;
    }
  }

  /** Undefined where it is not there, or no longer what was stored: then it is removed. */
  async find(key: string): Promise<StoredCache | undefined> {
    await this.ready;
    const path = this.pathOf(key);
    try {
      if (!(await touch(path))) return undefined;
      return await readCache(path, key, this.shape);
    } catch {
      await rm(path, { force: true }).catch(() => undefined);
      return undefined;
    }
  }

  private pathOf(key: string): string {
    return join(this.folder, `${key}${ENDING}`);
  }

  private async prepare(): Promise<void> {
    await mkdir(this.folder, { recursive: true });
    for (const { path, usedMs } of await this.files(UNFINISHED)) {
      if (Date.now() - usedMs > ABANDONED_MS) await rm(path, { force: true });
    }
    await this.makeRoom(0);
  }

  /** False where so much never fits. */
  private async makeRoom(bytes: number): Promise<boolean> {
    if (bytes > this.limitBytes) return false;
    const files = await this.files(ENDING).catch(() => []);
    files.sort((a, b) => a.usedMs - b.usedMs);
    let total = files.reduce((sum, file) => sum + file.bytes, 0);
    for (const file of files) {
      if (total + bytes <= this.limitBytes) break;
      await rm(file.path, { force: true }).catch(() => undefined);
      total -= file.bytes;
    }
    return true;
  }

  private async files(ending: string): Promise<{ path: string; bytes: number; usedMs: number }[]> {
    const found: { path: string; bytes: number; usedMs: number }[] = [];
    for (const name of await readdir(this.folder)) {
      if (!name.endsWith(ending)) continue;
      const path = join(this.folder, name);
      // Another worker may have removed it meanwhile.
      const status = await stat(path).catch(() => undefined);
      if (status !== undefined) found.push({ path, bytes: status.size, usedMs: status.mtimeMs });
    }
    return found;
  }
}

/** Marks a file as used now; false where there is none. */
async function touch(path: string): Promise<boolean> {
  const now = new Date();
  return utimes(path, now, now).then(
    () => true,
    () => false,
  );
}
