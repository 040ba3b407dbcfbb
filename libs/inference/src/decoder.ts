import { IO } from '@app/onnx-graph';
import type { DecodeRuns } from './decode-runs.js';
import type { HeldPrefix } from './held-prefix.js';
import { data, PREFILL_CHUNK } from './prefix-reader.js';
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
      const rows = [...chunk.keys()].slice(Math.max(0, from - start));
      const outputs = await this.runs.read(this.prefix, [chunk], rows, this.tail);
      this.tail.append(0, outputs, 0, chunk.length);
      logits.set(data(outputs, IO.logits), Math.max(0, start - from) * vocabulary);
    }
    return logits;
  }
}
