import {
  type AnswerPiece,
  type CacheHandle,
  type EnginePort,
  type GenerateRequest,
  type Generation,
  type HeldCache,
  headBytes,
  type PrefillRequest,
  type StoreRequest,
} from '@app/inference';
import type { EngineMetrics } from '@app/telemetry';

/** An engine that counts what it holds and does. */
export class MeteredEngine implements EnginePort {
  private readonly held = new Map<CacheHandle, { readonly bytes: number; readonly fullBytes: number }>();

  constructor(
    private readonly engine: EnginePort,
    private readonly metrics: EngineMetrics,
  ) {}

  get model() {
    return this.engine.model;
  }

  async prefill(request: PrefillRequest, signal?: AbortSignal): Promise<HeldCache> {
    const cache = await this.engine.prefill(request, signal);
    this.metrics.prefixTokens.inc(cache.tokens);
    this.metrics.prefillSeconds.inc(cache.prefillSeconds);
    this.metrics.compressSeconds.inc(cache.compressSeconds);
    this.hold(cache);
    return cache;
  }

  async generate(
    request: GenerateRequest,
    signal?: AbortSignal,
    onPiece?: (piece: AnswerPiece) => void,
  ): Promise<Generation> {
    const generation = await this.engine.generate(request, signal, onPiece);
    this.metrics.items.inc();
    this.metrics.answerTokens.inc(generation.tokens.length);
    return generation;
  }

  async release(handle: CacheHandle): Promise<void> {
    await this.engine.release(handle);
    this.held.delete(handle);
    this.countHeld();
  }

  store(request: StoreRequest): Promise<boolean> {
    return this.engine.store(request);
  }

  async restore(key: string): Promise<HeldCache | undefined> {
    const cache = await this.engine.restore(key);
    if (cache !== undefined) this.hold(cache);
    return cache;
  }

  close(): Promise<void> {
    return this.engine.close();
  }

  private hold({ handle, bytes, tokens }: HeldCache): void {
    const { layers, kvHeads, headSize, kvType } = this.model;
    this.held.set(handle, { bytes, fullBytes: layers * kvHeads * headBytes(tokens, headSize, kvType) });
    this.countHeld();
  }

  private countHeld(): void {
    const caches = [...this.held.values()];
    this.metrics.caches.set(caches.length);
    this.metrics.heldBytes.set(caches.reduce((sum, { bytes }) => sum + bytes, 0));
    this.metrics.fullBytes.set(caches.reduce((sum, { fullBytes }) => sum + fullBytes, 0));
  }
}
