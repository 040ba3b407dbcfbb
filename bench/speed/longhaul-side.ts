import { type CacheHandle, type EnginePort, startEngine } from '@app/inference';
import { type Clock, clockOf, processUsage, type Usage } from './clock.js';
import type {
  Answer,
  BatchRequest,
  BatchResult,
  Held,
  HoldRequest,
  LonghaulVariant,
  Side,
  SideSettings,
} from './side.js';

/** Longhaul through its public port, in the thread that a worker runs it in. */
export class LonghaulSide implements Side<LonghaulVariant> {
  private readonly held = new Map<string, CacheHandle>();
  private readonly clock: Clock;
  private engine: EnginePort | undefined;

  constructor(private readonly settings: SideSettings) {
    this.clock = clockOf(settings.clock);
  }

  async load(): Promise<void> {
    const { modelPath, threads, graphsDir: cacheDir, precision, kvType } = this.settings;
    this.engine = await startEngine({ modelPath, threads, cacheDir, precision, kvType });
  }

  async prefill(tokens: readonly number[], variant: LonghaulVariant): Promise<number> {
    const start = this.clock();
    const { handle } = await this.port.prefill({ tokens, ...request(variant) });
    const seconds = this.clock() - start;
    await this.port.release(handle);
    return seconds;
  }

  async hold({ name, tokens, variant, questions = [] }: HoldRequest<LonghaulVariant>): Promise<Held> {
    const start = this.clock();
    const cache = await this.port.prefill({ tokens, ...request(variant), questions });
    const seconds = this.clock() - start;
    this.held.set(name, cache.handle);
    return {
      seconds,
      compressShare: cache.compressSeconds / cache.prefillSeconds,
      bytes: cache.bytes,
      entries: cache.entries,
    };
  }

  async answer(name: string, suffix: readonly number[], answerTokens: number): Promise<Answer> {
    const start = this.clock();
    const generation = await this.generate(this.handle(name), suffix, answerTokens);
    const steps = generation.tokens.length + (generation.finishReason === 'stop' ? 1 : 0);
    return { seconds: this.clock() - start, steps, tokens: generation.tokens };
  }

  async release(name: string): Promise<void> {
    await this.port.release(this.handle(name));
    this.held.delete(name);
  }

  /** All documents at once, all questions of a document at once: the engine decides what runs together. */
  async batch({ documents, questions, answerTokens, variant }: BatchRequest<LonghaulVariant>): Promise<BatchResult> {
    const start = this.clock();
    const counts = await Promise.all(
      documents.map(async (tokens) => {
        const { handle } = await this.port.prefill({ tokens, ...request(variant), questions });
        const answers = await Promise.all(questions.map((question) => this.generate(handle, question, answerTokens)));
        await this.port.release(handle);
        return answers.reduce((sum, answer) => sum + answer.tokens.length, 0);
      }),
    );
    return { seconds: this.clock() - start, answerTokens: counts.reduce((sum, count) => sum + count, 0) };
  }

  async usage(): Promise<Usage> {
    return processUsage();
  }

  async close(): Promise<void> {
    await this.engine?.close();
  }

  private get port(): EnginePort {
    if (this.engine === undefined) throw new Error('load() must come first.');
    return this.engine;
  }

  private handle(name: string): CacheHandle {
    const handle = this.held.get(name);
    if (handle === undefined) throw new Error(`nothing is held as '${name}'.`);
    return handle;
  }

  private generate(handle: CacheHandle, suffix: readonly number[], maxTokens: number) {
    return this.port.generate({ handle, suffix, sampling: { temperature: 0, topP: 1, maxTokens, stop: [] } });
  }
}

const request = ({ reading, ...compression }: LonghaulVariant) => ({ compression, reading });
