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

  /** Appends tokens, at least one; the logits `[vocabulary]` after the last. */
  async append(tokens: readonly number[], checkpoint: Checkpoint): Promise<Float32Array> {
    let logits: Float32Array = new Float32Array(0);
    for (let from = 0; from < tokens.length; from += PREFILL_CHUNK) {
      await checkpoint();
      const chunk = tokens.slice(from, from + PREFILL_CHUNK);
      const outputs = await this.session.run(this.feeds(chunk));
      for (let layer = 0; layer < this.shape.layers; layer++) {
        this.tail.append(layer, data(outputs, IO.newKey(layer)), data(outputs, IO.newValue(layer)));
      }
      this.tail.advance(chunk.length);
      logits = data(outputs, IO.logits);
    }
    return logits;
  }

  private feeds(chunk: readonly number[]): InferenceSession.FeedsType {
    const { kvHeads, queryHeads } = this.shape;
    const [n, group, before] = [chunk.length, queryHeads / kvHeads, this.tail.length];
    const position = this.prefix.tokens + before;
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
      [IO.logitRows]: integers([n - 1], [1]),
    };
  }
}
