import { totalmem } from 'node:os';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { MessageChannel } from 'node:worker_threads';

/** Tokens of room for suffixes and answers, of all items together: more of them at once make each other slow. */
const TAIL_TOKENS = 8192;
/** Share of the memory that they may take at most; the rest is for documents. */
const TAIL_SHARE = 0.25;
/** Bytes that may wait for V8 to collect them. */
const MAX_GARBAGE_BYTES = 32 * 1024 * 1024;

/** How the memory for keys and values is divided. */
export interface KvMemory {
  /** Bytes of documents: while they are read, and what is held of them. */
  readonly documentBytes: number;
  /** Most tokens of suffixes and answers that are held at once. */
  readonly tailTokens: number;
}

/**
 * @param kvBytes of all keys and values
 * @param tokenBytes of the keys and values of one token
 * @param contextLength one item may need that much
 */
export function divideKvMemory(kvBytes: number, tokenBytes: number, contextLength: number): KvMemory {
  const wanted = Math.max(TAIL_TOKENS, contextLength);
  const tailTokens = Math.max(1, Math.min(wanted, Math.floor((TAIL_SHARE * kvBytes) / tokenBytes)));
  return { documentBytes: Math.max(0, kvBytes - tailTokens * tokenBytes), tailTokens };
}

/** Half of the bytes that the machine, or the container around this process, has left. */
export function defaultKvBytes(): number {
  // 0 or more than there is: no container sets a limit.
  const constrained = process.constrainedMemory();
  const total = constrained > 0 ? Math.min(constrained, totalmem()) : totalmem();
  return Math.max(0, Math.floor((total - process.memoryUsage.rss()) / 2));
}

/** The memory behind arrays, once each: to be moved to another thread instead of copied. */
export function buffersOf(arrays: Iterable<ArrayBufferView>): ArrayBuffer[] {
  return [...new Set([...arrays].map(({ buffer }) => buffer as ArrayBuffer))];
}

const nowhere = new MessageChannel().port1;
nowhere.close();

/**
 * Frees the memory behind arrays at once: what is sent away belongs to the message, and one to a closed port ends there.
 * Arrays that are gone already are passed over.
 */
export function free(arrays: Iterable<ArrayBufferView>): void {
  nowhere.postMessage(undefined, buffersOf([...arrays].filter(({ byteLength }) => byteLength > 0)));
}

/**
 * Has V8 free arrays that were let go. They lie outside its heap, so by itself it is in no hurry, and a limit of bytes only
 * holds where those that are no longer used are gone.
 */
export class LetGo {
  private bytes = 0;

  /** @param bytes of arrays that nobody refers to any more */
  add(bytes: number): void {
    this.bytes += bytes;
    if (this.bytes < MAX_GARBAGE_BYTES) return;
    this.bytes = 0;
    collectGarbage();
  }
}

let collect: (() => void) | undefined;

function collectGarbage(): void {
  if (collect === undefined) {
    setFlagsFromString('--expose-gc');
    collect = runInNewContext('gc') as () => void;
  }
  collect();
}
