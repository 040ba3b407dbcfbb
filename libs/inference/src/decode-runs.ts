import { IO, type LlamaShape } from '@app/onnx-graph';
import { type InferenceSession, Tensor } from 'onnxruntime-node';
import type { HeldPrefix } from './held-prefix.js';
import { RunLayout } from './run-layout.js';
import type { Prediction, PredictionNeeds } from './sampler.js';
import type { Sessions } from './sessions.js';
import { sequencesBias, stepBias } from './tail-bias.js';
import { Tails } from './tails.js';
import { data, integers } from './tensors.js';

/** What a run of a decode graph gives. */
export interface RunOutputs {
  /** Row by row, with logits and probabilities where they were asked for. */
  readonly predictions: readonly Prediction[];
  /** `[2 * layers, n, kvHeads * headSize]` keys and values of the run's own tokens. */
  readonly entries: Float32Array;
}

/** Sequences of tokens side by side, each behind the same prefix: several without tails, or one with a tail. */
export interface Reading {
  readonly prefix: HeldPrefix;
  readonly sequences: readonly (readonly number[])[];
  /** Tokens, counted over all sequences, after which logits are wanted. */
  readonly logitRows: readonly number[];
  /** Of each logit row; logits alone where left out. */
  readonly needs?: readonly PredictionNeeds[];
  /** Of one item, which the only sequence goes on with. */
  readonly tail?: Tails;
}

/** A lower one would only overflow: at this one the most likely token is all but certain. */
const LOWEST_TEMPERATURE = 1e-5;

const LOGITS_ALONE: PredictionNeeds = { temperature: 0, logits: true };

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
   * @param needs each item's
   * @param tails of the same items in the same order
   * @returns predictions of the items in the same order
   */
  async step(
    layout: RunLayout,
    tokens: readonly number[],
    needs: readonly PredictionNeeds[],
    tails: Tails,
  ): Promise<readonly Prediction[]> {
    const items = tokens.length;
    const lengths = tokens.map((_, item) => tails.lengthOf(item));
    const bias = new Tensor('float32', stepBias(lengths, tails.capacity), [items, 1, 1, tails.capacity + 1]);
    const { predictions, entries } = await this.run(layout, needs, {
      ...tails.feeds(),
      [IO.tokens]: integers(tokens, [items]),
      [IO.positions]: integers(
        lengths.map((length, item) => (layout.prefixes[item] as HeldPrefix).tokens + length),
        [1, items],
      ),
      [IO.tailBias]: bias,
      [IO.logitRows]: integers([...tokens.keys()], [items]),
    });
    for (let item = 0; item < items; item++) tails.append(item, entries, item, 1);
    return predictions;
  }

  /** Reads sequences of tokens; appends to no tail. */
  async read(reading: Reading): Promise<RunOutputs> {
    const { prefix, sequences, logitRows, needs = logitRows.map(() => LOGITS_ALONE), tail = this.noTail } = reading;
    const { kvHeads, queryHeads } = this.shape;
    const [tokens, group] = [sequences.flat(), queryHeads / kvHeads];
    const n = tokens.length;
    // Of no rows the runtime's ArgMax makes the wrong shape, and warns.
    const rows = logitRows.length > 0 ? logitRows : [n - 1];
    const before = { length: tail.lengthOf(0), capacity: tail.capacity };
    const positions = sequences.flatMap((sequence) => sequence.map((_, i) => prefix.tokens + before.length + i));
    const bias = sequencesBias(
      group,
      sequences.map((sequence) => sequence.length),
      before,
    );
    return this.run(new RunLayout(this.shape, [prefix], n), needs, {
      ...tail.feeds(),
      [IO.tokens]: integers(tokens, [n]),
      [IO.positions]: integers(positions, [1, n]),
      [IO.tailBias]: new Tensor('float32', bias, [1, 1, group * n, before.capacity + n]),
      [IO.logitRows]: integers(rows, [rows.length]),
    });
  }

  private async run(
    layout: RunLayout,
    needs: readonly PredictionNeeds[],
    feeds: InferenceSession.FeedsType,
  ): Promise<RunOutputs> {
    const session = await this.sessions.get(layout.phase);
    const sampled = [...needs.keys()].filter((row) => needs[row]?.temperature !== 0);
    const inverse = sampled.map((row) => 1 / Math.max((needs[row] as PredictionNeeds).temperature, LOWEST_TEMPERATURE));
    Object.assign(layout.feeds, feeds);
    layout.feeds[IO.sampledRows] = integers(sampled, [sampled.length]);
    layout.feeds[IO.inverseTemperature] = new Tensor('float32', Float32Array.from(inverse), [sampled.length, 1]);
    // Every output that is fetched is copied, and copies of logits keep the garbage collector busy.
    const fetched: string[] = [IO.newEntries, IO.likeliest];
    if (needs.some((row) => row.logits)) fetched.push(IO.logits);
    if (sampled.length > 0) fetched.push(IO.probabilities);
    const outputs = await session.run(layout.feeds, fetched);
    const likeliest = outputs[IO.likeliest]?.data as BigInt64Array;
    const rows = (name: string) => outputs[name]?.data as Float32Array | undefined;
    const logits = rows(IO.logits);
    const probabilities = rows(IO.probabilities);
    return {
      predictions: needs.map((_, row) => ({
        likeliest: Number(likeliest[row]),
        logits: logits && this.rowOf(logits, row),
        probabilities:
          probabilities && sampled.includes(row) ? this.rowOf(probabilities, sampled.indexOf(row)) : undefined,
      })),
      entries: data(outputs, IO.newEntries),
    };
  }

  private rowOf(rows: Float32Array, row: number): Float32Array {
    const { vocabulary } = this.shape;
    return rows.subarray(row * vocabulary, (row + 1) * vocabulary);
  }
}
