import { mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  getLlama,
  type LlamaContext,
  type LlamaContextSequence,
  LlamaLogLevel,
  type LlamaModel,
  type Token,
} from 'node-llama-cpp';
import { type Clock, clockOf, processUsage, type Usage } from './clock.js';
import type { Answer, BatchRequest, BatchResult, Held, HoldRequest, PeerVariant, Side, SideSettings } from './side.js';

interface HeldContext {
  readonly context: LlamaContext;
  readonly sequence: LlamaContextSequence;
  /** Length of the prefix. */
  readonly tokens: number;
}

/** node-llama-cpp through its public interface, on the CPU. A prefix is held in a context of its own. */
export class PeerSide implements Side<PeerVariant> {
  private readonly held = new Map<string, HeldContext>();
  private readonly clock: Clock;
  private loaded: LlamaModel | undefined;

  constructor(private readonly settings: SideSettings) {
    this.clock = clockOf(settings.clock);
  }

  async load(): Promise<void> {
    const llama = await getLlama({
      gpu: false,
      build: 'never',
      skipDownload: true,
      maxThreads: this.settings.threads,
      logLevel: LlamaLogLevel.error,
    });
    this.loaded = await llama.loadModel({ modelPath: this.settings.modelPath });
  }

  async prefill(tokens: readonly number[], variant: PeerVariant): Promise<number> {
    // A full context is shifted and read again, which takes twice as long.
    await using context = await this.context(variant, tokens.length + 1, 1);
    // awaited here: the context is disposed when this block is left
    return await this.read(context.getSequence(), tokens);
  }

  async hold({ name, tokens, variant, room }: HoldRequest<PeerVariant>): Promise<Held> {
    const context = await this.context(variant, tokens.length + room, 1);
    const sequence = context.getSequence();
    const seconds = await this.read(sequence, tokens);
    this.held.set(name, { context, sequence, tokens: tokens.length });
    return { seconds, compressShare: 0, bytes: this.cacheBytes(tokens.length), entries: tokens.length };
  }

  async answer(name: string, suffix: readonly number[], answerTokens: number): Promise<Answer> {
    const held = this.held.get(name);
    if (held === undefined) throw new Error(`nothing is held as '${name}'.`);
    const start = this.clock();
    const { tokens, stopped } = await generate(held.sequence, suffix, answerTokens);
    const seconds = this.clock() - start;
    await eraseFrom(held.sequence, held.tokens);
    return { seconds, steps: tokens.length + (stopped ? 1 : 0), tokens };
  }

  async release(name: string): Promise<void> {
    await this.held.get(name)?.context.dispose();
    this.held.delete(name);
  }

  async batch(request: BatchRequest<PeerVariant>): Promise<BatchResult> {
    const { documents, questions, answerTokens, variant } = request;
    const room = Math.max(...questions.map((question) => question.length)) + answerTokens;
    const longest = Math.max(...documents.map((document) => document.length));
    const sequences = variant.reuse === 'parallel' ? questions.length : 1;
    await using context = await this.context(variant, longest + room, sequences);
    const all = Array.from({ length: sequences }, () => context.getSequence());
    let generated = 0;
    const seconds = await this.timed(async () => {
      for (const document of documents) generated += await this.answerDocument(all, document, request);
    });
    return { seconds, answerTokens: generated };
  }

  async usage(): Promise<Usage> {
    return processUsage();
  }

  async close(): Promise<void> {
    for (const { context } of this.held.values()) await context.dispose();
    await this.loaded?.dispose();
  }

  /** Answers all questions of one document; returns the number of tokens generated. */
  private async answerDocument(
    sequences: readonly LlamaContextSequence[],
    document: readonly number[],
    { questions, answerTokens, variant }: BatchRequest<PeerVariant>,
  ): Promise<number> {
    const [first] = sequences as [LlamaContextSequence];
    let generated = 0;
    for (const sequence of sequences) await sequence.clearHistory();
    if (variant.reuse === 'none') {
      for (const question of questions) {
        await first.clearHistory();
        generated += (await generate(first, [...document, ...question], answerTokens)).tokens.length;
      }
      return generated;
    }
    await first.evaluateWithoutGeneratingNewTokens(ids(document));
    if (variant.reuse === 'parallel') {
      await this.copyState(first, sequences.slice(1));
      const answers = await Promise.all(
        questions.map((question, i) => generate(sequences[i]!, question, answerTokens)),
      );
      return answers.reduce((sum, answer) => sum + answer.tokens.length, 0);
    }
    for (const question of questions) {
      generated += (await generate(first, question, answerTokens)).tokens.length;
      await eraseFrom(first, document.length);
    }
    return generated;
  }

  private async copyState(from: LlamaContextSequence, to: readonly LlamaContextSequence[]): Promise<void> {
    await mkdir(this.settings.stateDir, { recursive: true });
    const file = join(this.settings.stateDir, `peer-state-${process.pid}`);
    try {
      await from.saveStateToFile(file);
      for (const sequence of to) await sequence.loadStateFromFile(file, { acceptRisk: true });
    } finally {
      await rm(file, { force: true });
    }
  }

  private async read(sequence: LlamaContextSequence, tokens: readonly number[]): Promise<number> {
    const seconds = await this.timed(() => sequence.evaluateWithoutGeneratingNewTokens(ids(tokens)));
    if (sequence.nextTokenIndex === tokens.length) return seconds;
    throw new Error(`Expected the peer to hold ${tokens.length} tokens, found ${sequence.nextTokenIndex}.`);
  }

  private async timed(work: () => Promise<unknown>): Promise<number> {
    const start = this.clock();
    await work();
    return this.clock() - start;
  }

  private context({ flashAttention, batchSize }: PeerVariant, contextSize: number, sequences: number) {
    const { threads } = this.settings;
    return this.model.createContext({ contextSize, sequences, batchSize, flashAttention, threads });
  }

  /** Bytes of the keys and values of `tokens` tokens: float16, the peer's default. */
  private cacheBytes(tokens: number): number {
    const { block_count: layers, embedding_length: hidden, attention } = this.model.fileInfo.architectureMetadata;
    const queryHeads = attention?.head_count as number;
    const kvHeads = (attention?.head_count_kv as number | undefined) ?? queryHeads;
    return 2 * 2 * tokens * (layers ?? 0) * kvHeads * ((hidden ?? 0) / queryHeads);
  }

  private get model(): LlamaModel {
    if (this.loaded === undefined) throw new Error('load() must come first.');
    return this.loaded;
  }
}

const ids = (tokens: readonly number[]): Token[] => tokens as unknown as Token[];

/** Greedy, until the turn ends or `count` tokens are there. */
async function generate(
  sequence: LlamaContextSequence,
  prompt: readonly number[],
  count: number,
): Promise<{ tokens: number[]; stopped: boolean }> {
  const tokens: number[] = [];
  for await (const token of sequence.evaluate(ids(prompt), { temperature: 0 })) {
    tokens.push(token);
    if (tokens.length === count) return { tokens, stopped: false };
  }
  return { tokens, stopped: true };
}

const eraseFrom = (sequence: LlamaContextSequence, start: number): Promise<void> =>
  sequence.eraseContextTokenRanges([{ start, end: sequence.nextTokenIndex }]);
