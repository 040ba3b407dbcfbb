import { GgufModel } from '@app/gguf-model';
import type { AttentionKind, HeadCalibration, Policy } from '@app/kv-policy';
import type { LlamaShape } from '@app/onnx-graph';
import { Answer, type AnswerText } from './answer.js';
import type { AskedRows } from './asked-rows.js';
import { compressHead } from './compress-heads.js';
import { DecodeRuns } from './decode-runs.js';
import { Decoder } from './decoder.js';
import type { EngineOptions } from './engine.js';
import { type HeldHead, type HeldPrefix, holdPrefix } from './held-prefix.js';
import type { MergingRead } from './merging-read.js';
import { ModelFiles } from './model-files.js';
import { readPrefix, scoreQuestions } from './prefix-reader.js';
import type { ReadingCache } from './reading-cache.js';
import { ReadingHead } from './reading-head.js';
import { Sessions } from './sessions.js';
import { StandIns } from './stand-ins.js';

/**
 * The engine taken apart, for calibration and quality benches: one reading of a prefix serves many policies, and logits
 * come out. In the calling thread; nothing here is for serving.
 */
export class Probe {
  private readonly runs: DecodeRuns;
  /** What is asked of documents whose own questions are not known. */
  readonly standIns: StandIns;

  private constructor(
    readonly gguf: GgufModel,
    readonly shape: LlamaShape,
    private readonly sessions: Sessions,
  ) {
    this.runs = new DecodeRuns(sessions, shape);
    this.standIns = new StandIns(gguf);
  }

  static async open({ modelPath, cacheDir, precision, kvType, threads }: EngineOptions): Promise<Probe> {
    const gguf = await GgufModel.open(modelPath);
    const files = await ModelFiles.prepare(gguf, cacheDir, precision);
    return new Probe(gguf, files.description.shape, new Sessions(files, threads, kvType));
  }

  /**
   * Reads a prefix and gathers what kinds of attention are asked for. The cache stays as it was read however often it is
   * compressed; one that was read merging is already small, for the policy and the entries it was read for.
   */
  async read(
    tokens: readonly number[],
    attention: readonly AttentionKind[],
    merging?: MergingRead,
  ): Promise<ReadingCache> {
    const session = await this.sessions.get('prefill');
    return readPrefix(session, { shape: this.shape, tokens, attention, checkpoint, merging });
  }

  /** Logits `[tokens, vocabulary]` after every token of a text. */
  async logits(tokens: readonly number[]): Promise<Float32Array> {
    const logits = new Float32Array(tokens.length * this.shape.vocabulary);
    let written = 0;
    const onLogits = (chunk: Float32Array) => {
      logits.set(chunk, written);
      written += chunk.length;
    };
    await readPrefix(await this.sessions.get('prefill'), {
      shape: this.shape,
      tokens,
      attention: [],
      checkpoint,
      onLogits,
    });
    return logits;
  }

  /**
   * Gathers the questions' attention, and no others', in a cache that was read with kind `questions`.
   * @param recording whether what they got is wanted, for policies that are matched to it
   */
  async scoreQuestions(
    cache: ReadingCache,
    questions: readonly (readonly number[])[],
    recording = false,
  ): Promise<AskedRows | undefined> {
    for (const head of cache.heads) head.clearAttention('questions');
    return scoreQuestions(await this.sessions.get('prefill'), cache, questions, checkpoint, recording);
  }

  /** The same with what stands in for questions that are not known. */
  async scoreStandIns(
    cache: ReadingCache,
    tokens: readonly number[],
    calibration?: HeadCalibration,
    recording = false,
  ): Promise<AskedRows | undefined> {
    for (const head of cache.heads) head.clearAttention('questions');
    const session = await this.sessions.get('prefill');
    return this.standIns.score(session, cache, tokens, { calibration, checkpoint, recording });
  }

  /** @param asked what the questions got that were scored last, for policies that are matched to it */
  async compress(
    cache: ReadingCache,
    policy: Policy,
    budget: number,
    calibration?: HeadCalibration,
    asked?: AskedRows,
  ): Promise<HeldPrefix> {
    const { layers, kvHeads, headSize } = this.shape;
    const { sessions } = this;
    const entries = policy.allocate({ tokens: cache.tokens, layers, kvHeads }, budget, calibration);
    const held: HeldHead[] = [];
    for (const [index, head] of cache.heads.entries()) {
      const copy = {
        head: ReadingHead.revive(structuredClone(head)),
        allocated: entries[index]!,
        asked: policy.matching ? structuredClone(asked?.heads[index]) : undefined,
      };
      held.push(await compressHead(policy, copy, { headSize, kvType: sessions.kvType }, sessions));
    }
    return holdPrefix(this.shape, cache.tokens, held);
  }

  /** Logits `[answer.length, vocabulary]` from which each token of a given answer would have been drawn. */
  async forced(prefix: HeldPrefix, suffix: readonly number[], answer: readonly number[]): Promise<Float32Array> {
    const decoder = new Decoder(this.runs, prefix);
    return decoder.append([...suffix, ...answer.slice(0, -1)], suffix.length - 1);
  }

  /** The greedy answer. */
  async greedy(prefix: HeldPrefix, suffix: readonly number[], maxTokens: number): Promise<AnswerText> {
    const decoder = new Decoder(this.runs, prefix);
    const answer = new Answer(this.gguf.tokenizer, { temperature: 0, topP: 1, maxTokens, stop: [] });
    const take = (logits: Float32Array) => answer.take({ logits, probabilities: undefined });
    let next = take(await decoder.append(suffix));
    while (answer.ended === undefined) next = take(await decoder.append([next]));
    return answer.ended;
  }

  async close(): Promise<void> {
    await this.sessions.close();
    await this.gguf.close();
  }
}

const checkpoint = async (): Promise<void> => {};
