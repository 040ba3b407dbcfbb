import { IO, type LlamaShape } from '@app/onnx-graph';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { HeldPrefix } from './held-prefix.js';
import { data, integers } from './prefix-reader.js';
import { RunLayout } from './run-layout.js';
import type { Sessions } from './sessions.js';
import { sequencesBias, stepBias } from './tail-bias.js';
import { Tails } from './tails.js';

/** Runs of the decode graphs. Prefixes are read in place and never changed. */
export class DecodeRuns {
  private readonly noTail: Tails;

  constructor(
    private readonly sessions: Sessions,
    readonly shape: LlamaShape,
  ) {
    this.noTail = new Tails(shape);
    this.noTail.add();
  }

  /** The layout of steps in which these items take part, in this order; see `RunLayout`. */
  layOut(prefixes: readonly HeldPrefix[]): RunLayout {
    return new RunLayout(this.shape, prefixes, 1);
  }

  /**
   * One more token of every item; appends its keys and values to the item's tail.
   * @param tokens each item's next token
   * @param tails of the same items in the same order
   * @returns logits `[items, vocabulary]`
   */
  async step(layout: RunLayout, tokens: readonly number[], tails: Tails): Promise<Float32Array> {
    const items = tokens.length;
    const lengths = tokens.map((_, item) => tails.lengthOf(item));
    const bias = new Tensor('float32', stepBias(lengths, tails.capacity), [items, 1, 1, tails.capacity + 1]);
    const outputs = await this.run(layout, {
      ...tails.feeds(),
      [IO.tokens]: integers(tokens, [items]),
      [IO.positions]: integers(
        lengths.map((length, item) => (layout.prefixes[item] as HeldPrefix).tokens + length),
        [1, items],
      ),
      [IO.tailBias]: bias,
      [IO.logitRows]: integers([...tokens.keys()], [items]),
    });
    for (let item = 0; item < items; item++) tails.append(item, outputs, item, 1);
    return data(outputs, IO.logits);
  }

  /**
   * Sequences of tokens side by side, each behind the same prefix: several without tails, or one with a tail. Appends to no
   * tail.
   * @param logitRows tokens, counted over all sequences, after which logits are wanted
   * @param tail whose only item the only sequence is
   * @returns outputs `logits` `[1, logitRows.length, vocabulary]` and `newEntries`
   */
  async read(
    prefix: HeldPrefix,
    sequences: readonly (readonly number[])[],
    logitRows: readonly number[],
    tail: Tails = this.noTail,
  ): Promise<InferenceSession.ReturnType> {
    const { kvHeads, queryHeads } = this.shape;
    const [tokens, group] = [sequences.flat(), queryHeads / kvHeads];
    const n = tokens.length;
    const before = { length: tail.lengthOf(0), capacity: tail.capacity };
    const positions = sequences.flatMap((sequence) => sequence.map((_, i) => prefix.tokens + before.length + i));
    const bias = sequencesBias(
      group,
      sequences.map((sequence) => sequence.length),
      before,
    );
    return this.run(new RunLayout(this.shape, [prefix], n), {
      ...tail.feeds(),
      [IO.tokens]: integers(tokens, [n]),
      [IO.positions]: integers(positions, [1, n]),
      [IO.tailBias]: new Tensor('float32', bias, [1, 1, group * n, before.capacity + n]),
      [IO.logitRows]: integers(logitRows, [logitRows.length]),
    });
  }

  private async run(layout: RunLayout, feeds: InferenceSession.FeedsType): Promise<InferenceSession.ReturnType> {
    const session = await this.sessions.get(layout.phase);
    return session.run({ ...layout.feeds, ...feeds });
  }
}
