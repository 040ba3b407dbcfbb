import type { GgufModel } from '@app/gguf-model';
import type { HeadCalibration } from '@app/kv-policy';
import type { InferenceSession } from 'onnxruntime-node';
import type { AskedRows } from './asked-rows.js';
import { type Checkpoint, scoreQuestions } from './prefix-reader.js';
import type { ReadingCache } from './reading-cache.js';
import { encodeStandIns, STAND_IN_QUESTIONS } from './stand-in-questions.js';
import { standoutPassages } from './standout-passages.js';

/** What decides how caches of unseen questions are shaped; the number is raised when passages are chosen or counted anew. */
export const STAND_INS = JSON.stringify([STAND_IN_QUESTIONS, 1]);

/** KV heads that are looked at for what stands out. */
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
    const passages = await this.passages(cache, tokens, checkpoint, calibration);
    const each = (PASSAGES_COUNT * this.questions.length) / passages.length;
    if (passages.length > 0) await scoreQuestions(session, cache, passages, checkpoint, false, each);
    return scoreQuestions(session, cache, this.questions, checkpoint, recording);
  }

  /** None where no head holds every token any more. */
  private async passages(
    cache: ReadingCache,
    tokens: readonly number[],
    checkpoint: Checkpoint,
    calibration?: HeadCalibration,
  ): Promise<number[][]> {
    const { headSize } = cache.shape;
    const indices = [...cache.heads.keys()].filter((index) => cache.heads[index]!.entries === tokens.length);
    const heads = lookedAt(indices, calibration).map((index) => cache.heads[index]!);
    const found = await standoutPassages(tokens, heads, headSize, this.gguf.hyperparameters, checkpoint);
    return found.map((passage) => [...this.newParagraph, ...passage]);
  }
}

/** The most sensitive heads; without a calibration as many, spread over all layers. */
function lookedAt(indices: readonly number[], calibration: HeadCalibration | undefined): readonly number[] {
  if (calibration === undefined) {
    const step = Math.max(1, indices.length / STRANGENESS_HEADS);
    return indices.filter((_, i) => Math.floor((i + 1) / step) > Math.floor(i / step));
  }
  const { sensitivity } = calibration;
  return indices.toSorted((a, b) => sensitivity[b]! - sensitivity[a]!).slice(0, STRANGENESS_HEADS);
}

export interface ScoreOptions {
  readonly calibration?: HeadCalibration | undefined;
  readonly checkpoint: Checkpoint;
  readonly recording: boolean;
}
