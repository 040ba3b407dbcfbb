import { createHash } from 'node:crypto';
import { ContextOverflowError, EngineAbortedError, KvMemoryExceededError } from './engine-errors.js';
import type { CacheHandle, EnginePort, HeldCache, PrefillRequest } from './engine-port.js';
import { MATCHING_VERSION } from './match-head.js';
import { planRead, type ReadPlan } from './read-plan.js';

/** Shorter prefixes are let go after use: reading them again costs less than looking for them. */
const MIN_HELD_TOKENS = 256;

/** A document that a group wants to ask about. */
export interface DocumentRequest extends PrefillRequest {
  /** How many items will be asked. */
  readonly items: number;
  /** Token ids that follow the prefix in every item: a held document may reach into them. */
  readonly following?: readonly number[];
}

/** A place in memory for one document, from before it is read until nobody asks about it any more. */
export interface DocumentLease {
  /** Names the document and all that shaped its cache, on every worker alike. */
  readonly key: string;
  /**
   * Tokens that its cache stands for: those of the prefix, or of a held document that ends a little before or after it; what
   * follows them in an item is the item's own suffix.
   */
  readonly tokens: number;
  /** Whether it was held when the lease began, or being read for somebody else; once it is there, also whether it was on disk. */
  readonly reused: boolean;
  /** The cache, once it is read. Rejects as `EnginePort.prefill`; an abort ends the reading only where nobody else waits for it. */
  cache(signal?: AbortSignal): Promise<HeldCache>;
  /** To be called once, when nothing is asked any more. */
  end(): void;
}

/** Told of what becomes of documents, for metrics. */
export interface DocumentListener {
  hit?(): void;
  miss?(): void;
  evicted?(): void;
  /** Found on disk, after a `miss`. */
  restored?(): void;
  /** Whenever what is held or planned has changed. */
  planned?(bytes: number): void;
}

/** A reading that goes on, and how many wait for it. */
interface Reading {
  readonly cache: Promise<HeldCache>;
  readonly abort: AbortController;
  waiting: number;
}

interface HeldDocument {
  readonly key: string;
  readonly request: DocumentRequest;
  /** What must be equal, beside the tokens, for its cache to serve another request. */
  readonly shapedBy: string;
  /** Leases that have not ended. */
  leases: number;
  /** Planned while it is read, then held. */
  bytes: number;
  cache: HeldCache | undefined;
  /** Found on disk, and not read by the lease that wanted it first. */
  restored: boolean;
  reading: Reading | undefined;
}

/**
 * The documents that an engine holds, within a limit of bytes. Each is read once, however many groups ask about it at the
 * same time or later; what nobody asks about stays as long as there is room, the one asked about last the longest.
 *
 * The peak of every document is known before it is read, so a lease is given only where it fits beside all others; caches that
 * nobody uses make room first.
 */
export class HeldDocuments {
  /** By `key`, the one used last at the end. */
  private readonly documents = new Map<string, HeldDocument>();
  private readonly leaving = new Set<Promise<unknown>>();
  private readonly freed: (() => void)[] = [];

  constructor(
    private readonly engine: EnginePort,
    private readonly listener: DocumentListener = {},
  ) {}

  /** Bytes that documents may take. */
  get limitBytes(): number {
    return this.engine.model.documentBytes;
  }

  /** Bytes that are held or planned. */
  get bytes(): number {
    return this.sum(() => true);
  }

  /** Keys of the documents that are held or being read. */
  get keys(): string[] {
    return [...this.documents.values()].filter(({ request }) => isWorthHolding(request)).map(({ key }) => key);
  }

  /** The key that a document would be held under. */
  keyOf(request: DocumentRequest): string {
    return keyOf(this.engine.model.identity, request.tokens, shapedBy(request, planRead(this.engine.model, request)));
  }

  /**
   * Takes a place for a document. Undefined where it does not fit now, beside those in use; `room` tells when to ask again.
   * @throws ContextOverflowError
   * @throws KvMemoryExceededError where it never will
   */
  lease(request: DocumentRequest): DocumentLease | undefined {
    const { contextLength, identity } = this.engine.model;
    const { length } = request.tokens;
    if (length > contextLength) throw new ContextOverflowError(contextLength, length, 0);
    const plan = planRead(this.engine.model, request);
    const shape = shapedBy(request, plan);
    const held = this.find(request, shape);
    if (held !== undefined) {
      this.listener.hit?.();
      return this.leaseOf(held, request, true);
    }
    if (plan.peakBytes > this.limitBytes) {
      throw new KvMemoryExceededError('document', length, plan.peakBytes, this.limitBytes);
    }
    if (this.sum(({ leases }) => leases > 0) + plan.peakBytes > this.limitBytes) return undefined;
    this.listener.miss?.();
    for (const document of this.documents.values()) {
      if (this.bytes + plan.peakBytes <= this.limitBytes) break;
      if (document.leases > 0) continue;
      this.remove(document);
      this.listener.evicted?.();
    }
    const key = keyOf(identity, request.tokens, shape);
    const state = { leases: 0, bytes: plan.peakBytes, cache: undefined, restored: false, reading: undefined };
    const document: HeldDocument = { key, request, shapedBy: shape, ...state };
    this.documents.set(key, document);
    this.listener.planned?.(this.bytes);
    return this.leaseOf(document, request, false);
  }

  /** Whether a lease would find the document held, or being read. */
  holds(request: DocumentRequest): boolean {
    return this.find(request, shapedBy(request, planRead(this.engine.model, request))) !== undefined;
  }

  /** Resolves the next time that memory has become free or usable. */
  room(): Promise<void> {
    return new Promise((resolve) => this.freed.push(resolve));
  }

  /** Has the engine keep on disk what it holds, where it has a place for it; for the end of a worker. */
  async store(): Promise<void> {
    for (const { key, cache } of this.documents.values()) {
      if (cache !== undefined) await this.engine.store({ handle: cache.handle, key });
    }
    await Promise.all(this.leaving);
  }

  private leaseOf(document: HeldDocument, { compression }: DocumentRequest, reused: boolean): DocumentLease {
    document.leases++;
    this.touch(document);
    let ended = false;
    return {
      key: document.key,
      tokens: document.request.tokens.length,
      get reused() {
        return reused || document.restored;
      },
      // A cache that keeps everything serves every policy; each hears of its own.
      cache: async (signal) => ({ ...(await this.cacheOf(document, signal)), ...compression }),
      end: () => {
        if (ended) return;
        ended = true;
        document.leases--;
        if (document.leases > 0) return;
        this.touch(document);
        if (document.cache === undefined || !isWorthHolding(document.request)) this.remove(document);
        this.tellFreed();
      },
    };
  }

  /** A document whose cache serves the request: the one that leaves least to be read again with every item. */
  private find(request: DocumentRequest, shape: string): HeldDocument | undefined {
    const { tokens, items, following = [] } = request;
    const all = [...tokens, ...following];
    let best: HeldDocument | undefined;
    for (const document of this.documents.values()) {
      const { length } = document.request.tokens;
      if (document.shapedBy !== shape || length > all.length) continue;
      // Tokens that every item would read itself; no more than what reading the prefix anew would cost.
      if (Math.max(0, tokens.length - length) * items > tokens.length / 2) continue;
      if (best !== undefined && best.request.tokens.length >= length) continue;
      if (document.request.tokens.every((token, i) => token === all[i])) best = document;
    }
    return best;
  }

  private async cacheOf(document: HeldDocument, signal: AbortSignal | undefined): Promise<HeldCache> {
    if (signal?.aborted) throw new EngineAbortedError();
    if (document.cache !== undefined) return document.cache;
    document.reading ??= this.read(document);
    const reading = document.reading;
    reading.waiting++;
    return new Promise((resolve, reject) => {
      const leave = (): void => {
        if (--reading.waiting === 0) this.giveUp(document, reading);
        reject(new EngineAbortedError());
      };
      signal?.addEventListener('abort', leave, { once: true });
      reading.cache.then(resolve, reject).finally(() => signal?.removeEventListener('abort', leave));
    });
  }

  private read(document: HeldDocument): Reading {
    const abort = new AbortController();
    const cache = this.restoreOrPrefill(document, abort.signal);
    const reading: Reading = { cache, abort, waiting: 0 };
    cache.then(
      async (held) => {
        if (document.reading !== reading) return this.engine.release(held.handle).catch(() => undefined);
        document.reading = undefined;
        document.cache = held;
        document.bytes = held.bytes;
        this.tellFreed();
      },
      () => {
        if (document.reading === reading) document.reading = undefined;
      },
    );
    return reading;
  }

  private async restoreOrPrefill(document: HeldDocument, signal: AbortSignal): Promise<HeldCache> {
    // What makes room for it must be gone first.
    await Promise.all(this.leaving);
    const restored = isWorthHolding(document.request) ? await this.engine.restore(document.key) : undefined;
    if (restored === undefined) return this.engine.prefill(document.request, signal);
    document.restored = true;
    this.listener.restored?.();
    return restored;
  }

  private giveUp(document: HeldDocument, reading: Reading): void {
    if (document.reading === reading) document.reading = undefined;
    reading.abort.abort();
    this.waitFor(reading.cache);
  }

  private remove(document: HeldDocument): void {
    this.documents.delete(document.key);
    if (document.reading !== undefined) this.giveUp(document, document.reading);
    if (document.cache === undefined) return;
    this.waitFor(this.letGo(document.key, document.cache.handle, isWorthHolding(document.request)));
  }

  /** Has what is read next wait until something has left the engine; a crashed one holds nothing. */
  private waitFor(work: Promise<unknown>): void {
    const left: Promise<unknown> = work.catch(() => undefined).finally(() => this.leaving.delete(left));
    this.leaving.add(left);
  }

  private async letGo(key: string, handle: CacheHandle, worthKeeping: boolean): Promise<void> {
    if (worthKeeping) await this.engine.store({ handle, key });
    await this.engine.release(handle);
  }

  private touch(document: HeldDocument): void {
    this.documents.delete(document.key);
    this.documents.set(document.key, document);
  }

  private sum(of: (document: HeldDocument) => boolean): number {
    let bytes = 0;
    for (const document of this.documents.values()) if (of(document)) bytes += document.bytes;
    return bytes;
  }

  private tellFreed(): void {
    this.listener.planned?.(this.bytes);
    for (const resolve of this.freed.splice(0)) resolve();
  }
}

const isWorthHolding = ({ tokens }: PrefillRequest): boolean => tokens.length >= MIN_HELD_TOKENS;

/** All that decides, beside tokens and model, what a cache holds. */
function shapedBy(request: PrefillRequest, { shrinks, shapedByQuestions, matching }: ReadPlan): string {
  if (!shrinks) return 'whole';
  const { compression, reading = 'exact', questions = [] } = request;
  const asked = shapedByQuestions
    ? digest(questions.map((question) => `${question.length}:${question}`).join(';'))
    : '';
  return `${compression.policy}:${compression.budget}:${reading}:${matching ? MATCHING_VERSION : ''}:${asked}`;
}

const keyOf = (identity: string, tokens: readonly number[], shape: string): string =>
  digest(`${identity}\n${shape}\n${tokens}`);

const digest = (text: string): string => createHash('sha256').update(text).digest('hex');
