import { IO, type LlamaShape } from '@app/onnx-graph';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { HeldPrefix } from './held-prefix.js';
import { type Checkpoint, data, integers, PREFILL_CHUNK } from './prefix-reader.js';
import { Tail } from './tail.js';
import { tailBias } from './tail-bias.js';

/** One item's sequence on top of a held prefix, which it reads and never changes. */
export class Decoder {
  private readonly tail: Tail;

  constructor(
    private readonly session: InferenceSession,
    private readonly shape: LlamaShape,
    private readonly prefix: HeldPrefix,
  ) {
    this.tail = new Tail(shape);
  }

  /**
   * Appends tokens, at least one.
   * @param from first token after which logits are wanted; the last one when left out
   * @returns logits `[tokens.length - from, vocabulary]`
   */
  async append(tokens: readonly number[], checkpoint: Checkpoint, from = tokens.length - 1): Promise<Float32Array> {
    const { vocabulary, layers } = this.shape;
    const logits = new Float32Array((tokens.length - from) * vocabulary);
    for (let start = 0; start < tokens.length; start += PREFILL_CHUNK) {
      await checkpoint();
      const chunk = tokens.slice(start, start + PREFILL_CHUNK);
      const firstRow = Math.max(0, from - start);
      const outputs = await this.session.run(this.feeds(chunk, firstRow));
      for (let layer = 0; layer < layers; layer++) {
        this.tail.append(layer, data(outputs, IO.newKey(layer)), data(outputs, IO.newValue(layer)));
      }
      this.tail.advance(chunk.length);
      logits.set(data(outputs, IO.logits), Math.max(0, start - from) * vocabulary);
    }
    return logits;
  }

  private feeds(chunk: readonly number[], firstRow: number): InferenceSession.FeedsType {
    const { kvHeads, queryHeads } = this.shape;
    const [n, group, before] = [chunk.length, queryHeads / kvHeads, this.tail.length];
    const position = this.prefix.tokens + before;
    const rows = chunk.map((_, row) => row).slice(firstRow);
    return {
      ...this.prefix.feeds,
      ...this.tail.feeds(),
      [IO.tokens]: integers(chunk, [n]),
      [IO.positions]: integers(
        chunk.map((_, i) => position + i),
        [1, n],
      ),
      [IO.tailBias]: new Tensor('float32', tailBias(group, n, before), [group * n, before + n]),
      [IO.tailLength]: integers([before + n], [1]),
      [IO.logitRows]: integers(rows, [rows.length]),
    };
  }
}
