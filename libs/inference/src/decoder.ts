import type { DecodeRuns } from './decode-runs.js';
import type { HeldPrefix } from './held-prefix.js';
import { PREFILL_CHUNK } from './prefix-reader.js';
import { Tails } from './tails.js';

/** One sequence on top of a held prefix, by itself: what is read of it is a tail of one item. */
export class Decoder {
  readonly tail: Tails;

  constructor(
    private readonly runs: DecodeRuns,
    private readonly prefix: HeldPrefix,
  ) {
    this.tail = new Tails(runs.shape);
    this.tail.add();
  }

  /**
   * Appends tokens, at least one.
   * @param from first token after which logits are wanted; the last one when left out
   * @returns logits `[tokens.length - from, vocabulary]`
   */
  async append(tokens: readonly number[], from = tokens.length - 1): Promise<Float32Array> {
    const { vocabulary } = this.runs.shape;
    const logits = new Float32Array((tokens.length - from) * vocabulary);
    for (let start = 0; start < tokens.length; start += PREFILL_CHUNK) {
      const chunk = tokens.slice(start, start + PREFILL_CHUNK);
      const logitRows = [...chunk.keys()].slice(Math.max(0, from - start));
      const read = await this.runs.read({ prefix: this.prefix, sequences: [chunk], logitRows, tail: this.tail });
      this.tail.append(0, read.entries, 0, chunk.length);
      const first = Math.max(0, start - from);
      for (const [row, prediction] of read.predictions.entries()) {
        logits.set(prediction.logits as Float32Array, (first + row) * vocabulary);
      }
    }
    return logits;
  }
}
