import type { GgufModel } from '@app/gguf-model';
import type { HeadCalibration } from '@app/kv-policy';
import type { InferenceSession } from 'onnxruntime-node';
import type { AskedRows } from './asked-rows.js';
import { type Checkpoint, scorePassages, scoreQuestions } from './prefix-reader.js';
import type { ReadingCache } from './reading-cache.js';
import { encodeStandIns, STAND_IN_QUESTIONS } from './stand-in-questions.js';
import { standoutPassages } from './standout-passages.js';

/** What decides how caches of unseen questions are shaped; the number is raised when passages are chosen or counted anew. */
export const STAND_INS = JSON.stringify([STAND_IN_QUESTIONS, 1]);

/** KV heads that are looked at for what stands out: those that matter most. */
const STRANGENESS_HEADS = 16;
/** What all passages together count, beside all questions. */
const PASSAGES_COUNT = 0.3;

/**
 * What is asked of a document whose own questions come later: general questions; and its own passages that stand out from the
 * rest, repeated after it (as KVzip, arXiv 2505.23416, does with all of it), since a question may be about any of them.
 */
export class StandIns {
  /** Token ids of the general questions. */
  readonly questions: readonly (readonly number[])[];
  private readonly newParagraph: readonly number[];

  constructor(private readonly gguf: GgufModel) {
    this.questions = encodeStandIns(gguf);
    this.newParagraph = gguf.tokenizer.encode('\n\n');
  }

  /**
   * Gathers their attention in a cache that was read with kind `questions`.
   * @param tokens that were read
   * @param recording whether what the questions got is wanted, for policies that are matched to it
   */
  async score(
    session: InferenceSession,
    cache: ReadingCache,
    tokens: readonly number[],
    { calibration, checkpoint, recording }: ScoreOptions,
  ): Promise<AskedRows | undefined> {
    const passages = this.passages(cache, tokens, calibration);
    const each = (PASSAGES_COUNT * this.questions.length) / passages.length;
    if (passages.length > 0) await scorePassages(session, cache, passages, each, checkpoint);
    return scoreQuestions(session, cache, this.questions, checkpoint, recording);
  }

  /** None where no head holds every token any more. */
  private passages(cache: ReadingCache, tokens: readonly number[], calibration?: HeadCalibration): number[][] {
    const { headSize } = cache.shape;
    const indices = [...cache.heads.keys()].filter((index) => cache.heads[index]!.entries === tokens.length);
    const matters = (index: number) => calibration?.sensitivity[index] ?? 0;
    indices.sort((a, b) => matters(b) - matters(a));
    const heads = indices.slice(0, STRANGENESS_HEADS).map((index) => cache.heads[index]!);
    if (heads.length === 0) return [];
    const found = standoutPassages(tokens, heads, headSize, this.gguf.hyperparameters);
    return found.map((passage) => [...this.newParagraph, ...passage]);
  }
}

export interface ScoreOptions {
  readonly calibration?: HeadCalibration | undefined;
  readonly checkpoint: Checkpoint;
  readonly recording: boolean;
}
