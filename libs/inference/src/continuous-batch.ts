import type { Tokenizer } from '@app/gguf-model';
import { Answer } from './answer.js';
import type { DecodeRuns } from './decode-runs.js';
import { EngineAbortedError } from './engine-errors.js';
import type { AnswerPiece, GenerateRequest, Generation } from './engine-port.js';
import type { HeldPrefix } from './held-prefix.js';
import { PREFILL_CHUNK } from './prefix-reader.js';
import { MAX_DOCUMENTS, type RunLayout } from './run-layout.js';
import type { Prediction, PredictionNeeds } from './sampler.js';
import { roomFor, Tails } from './tails.js';
import type { TokenConstraint } from './token-constraint.js';
import type { Turns } from './turns.js';

/** Most items that go on together: with more, a step takes longer almost in proportion, and all answers come later. */
export const MAX_ITEMS = 16;

interface Item {
  readonly prefix: HeldPrefix;
  /** Tokens to be read behind the prefix before the answer goes on: the suffix, later with what was answered so far. */
  suffix: readonly number[];
  readonly signal: AbortSignal | undefined;
  readonly answer: Answer;
  readonly resolve: (generation: Generation) => void;
  readonly reject: (error: unknown) => void;
  /** A tail of its own, while a suffix that is longer than a chunk is read. */
  tail: Tails | undefined;
  /** Tokens of the answer since `suffix` was read; the next step goes on with the last one. */
  readonly given: number[];
  /** Place in the order in which the items joined. */
  joined: number;
  /** When the suffix began to be read and when it was for the first time, as of `performance.now()`. */
  suffixBegun: number;
  suffixRead: number;
}

/**
 * Continuous batching: all items whose answers grow go on by one token a step, whichever document they are about; an item
 * joins once its suffix is read and leaves when its answer ends, at any step. Suffixes of items of one document are read side
 * by side, as many as a chunk holds; a step follows each chunk, so that reading keeps nobody waiting for long. Items join in
 * the order in which they were asked.
 *
 * What was read and answered behind the prefixes is held within a limit. An item that could go beyond it does not join; where
 * the answers of those that did grow beyond it, the newest of them leaves, waits in front and reads again what it had.
 */
export class ContinuousBatch {
  private readonly waiting: Item[] = [];
  /** In the order of `tails`. */
  private readonly running: Item[] = [];
  private tails: Tails;
  private layout: RunLayout | undefined;
  private going: Promise<void> | undefined;
  private joins = 0;
  private closed = false;

  /** @param tailTokens most tokens behind prefixes that there may be room for, of all items together */
  constructor(
    private readonly runs: DecodeRuns,
    private readonly tokenizer: Tokenizer,
    private readonly turns: Turns,
    private readonly tailTokens: number,
  ) {
    this.tails = new Tails(runs.shape);
  }

  /** Answers one item. Rejects with `EngineAbortedError` at the next turn after `signal` is aborted; others go on. */
  generate(
    prefix: HeldPrefix,
    { suffix, sampling }: Omit<GenerateRequest, 'handle'>,
    signal?: AbortSignal,
    onPiece?: (piece: AnswerPiece) => void,
    constraint?: TokenConstraint,
  ): Promise<Generation> {
    return new Promise((resolve, reject) => {
      const answer = new Answer(this.tokenizer, sampling, onPiece, constraint);
      const state = { tail: undefined, given: [], joined: 0, suffixBegun: 0, suffixRead: 0 };
      this.waiting.push({ prefix, suffix, signal, answer, resolve, reject, ...state });
      this.going ??= this.go();
    });
  }

  /** Ends all items, which reject with `EngineAbortedError`. */
  async close(): Promise<void> {
    this.closed = true;
    await this.going;
  }

  private async go(): Promise<void> {
    const turn = this.turns.decode();
    for (let read = false; this.waiting.length + this.running.length > 0; ) {
      await turn.next();
      this.dropAborted();
      await this.constraintsReady();
      read = (!read || this.running.length === 0) && (await this.read());
      if (!read) await this.step();
    }
    turn.leave();
    this.going = undefined;
  }

  /** Usually they are: a mask is made while others sample. */
  private async constraintsReady(): Promise<void> {
    for (const { answer } of [...this.running, ...this.waiting]) if (answer.constraint) await answer.constraint.ready;
  }

  private dropAborted(): void {
    const aborted = ({ signal }: Item) => this.closed || signal?.aborted === true;
    for (let i = this.waiting.length - 1; i >= 0; i--) {
      if (aborted(this.waiting[i] as Item)) this.waiting.splice(i, 1)[0]?.reject(new EngineAbortedError());
    }
    for (let i = this.running.length - 1; i >= 0; i--) {
      if (aborted(this.running[i] as Item)) this.leave(i).reject(new EngineAbortedError());
    }
  }

  /** Reads a chunk of suffixes, of those who join next. False where nobody can join now. */
  private async read(): Promise<boolean> {
    const items = this.joining();
    const [first] = items;
    if (first === undefined) return false;
    for (const item of items) item.suffixBegun ||= performance.now();
    try {
      if (first.suffix.length > PREFILL_CHUNK) await this.readLong(first);
      else await this.readTogether(items);
    } catch (error) {
      for (const item of items) {
        if (this.waiting.includes(item)) this.waiting.splice(this.waiting.indexOf(item), 1);
        if (!this.running.includes(item)) item.reject(error);
      }
      while (this.tails.items > this.running.length) this.tails.remove(this.tails.items - 1);
    }
    return true;
  }

  /** The first ones that wait, as many as there is room for, whose suffixes go into one chunk behind one document. */
  private joining(): Item[] {
    const items: Item[] = [];
    const documents = new Set(this.running.map(({ prefix }) => prefix));
    let tokens = 0;
    let room = this.tails.capacity;
    for (const item of this.waiting) {
      tokens += item.suffix.length;
      room = Math.max(room, roomFor(item.suffix.length + 1));
      documents.add(item.prefix);
      const count = this.running.length + items.length + 1;
      const alone = count === 1;
      const fits = count <= MAX_ITEMS && documents.size <= MAX_DOCUMENTS && count * room <= this.tailTokens;
      const together = items.length === 0 || (item.prefix === items[0]?.prefix && tokens <= PREFILL_CHUNK);
      if (!together || !(fits || alone)) break;
      items.push(item);
    }
    return items;
  }

  private async readTogether(items: readonly Item[]): Promise<void> {
    const suffixes = items.map(({ suffix }) => suffix);
    const ends: number[] = [];
    for (const suffix of suffixes) ends.push((ends.at(-1) ?? 0) + suffix.length);
    const { predictions, entries } = await this.runs.read({
      prefix: (items[0] as Item).prefix,
      sequences: suffixes,
      logitRows: ends.map((end) => end - 1),
      needs: items.map(needsOf),
    });
    this.waiting.splice(0, items.length);
    for (const [i, item] of items.entries()) {
      const { length } = item.suffix;
      this.join(item, predictions[i] as Prediction, () => {
        this.tails.add();
        this.tails.append(this.tails.items - 1, entries, (ends[i] as number) - length, length);
      });
    }
  }

  /** One chunk of a suffix that is longer than that; the item joins after the last one. */
  private async readLong(item: Item): Promise<void> {
    if (item.tail === undefined) {
      item.tail = new Tails(this.runs.shape);
      item.tail.add();
    }
    const { tail, prefix, suffix } = item;
    const before = tail.lengthOf(0);
    const chunk = suffix.slice(before, before + PREFILL_CHUNK);
    const { predictions, entries } = await this.runs.read({
      prefix,
      sequences: [chunk],
      logitRows: [chunk.length - 1],
      needs: [needsOf(item)],
      tail,
    });
    tail.append(0, entries, 0, chunk.length);
    if (before + chunk.length < suffix.length) return;
    this.waiting.shift();
    this.join(item, predictions[0] as Prediction, () => this.tails.adopt(tail));
    item.tail = undefined;
  }

  private join(item: Item, prediction: Prediction, addTail: () => void): void {
    item.suffixRead ||= performance.now();
    item.joined = this.joins++;
    if (!this.take(item, prediction)) return;
    addTail();
    this.running.push(item);
    this.layout = undefined;
  }

  private async step(): Promise<void> {
    this.makeRoom();
    if (this.running.length === 0) return;
    try {
      this.layout ??= this.runs.layOut(this.running.map(({ prefix }) => prefix));
      const tokens = this.running.map(({ given }) => given.at(-1) as number);
      const predictions = await this.runs.step(this.layout, tokens, this.running.map(needsOf), this.tails);
      const ended = [...this.running.keys()].filter(
        (i) => !this.take(this.running[i] as Item, predictions[i] as Prediction),
      );
      // The last one takes the place of one that leaves, so from behind.
      for (const i of ended.reverse()) this.leave(i);
    } catch (error) {
      for (const item of this.running.splice(0)) item.reject(error);
      this.tails = new Tails(this.runs.shape);
      this.layout = undefined;
    }
  }

  /** Sends the newest items back to the front of those that wait, while there is no room for one more token of each. */
  private makeRoom(): void {
    const reading = this.waiting.reduce((sum, { tail }) => sum + (tail?.capacity ?? 0), 0);
    for (;;) {
      const lengths = this.running.map((_, index) => this.tails.lengthOf(index));
      const room = this.running.length * roomFor(Math.max(0, ...lengths) + 1) + reading;
      if (this.running.length <= 1 || room <= this.tailTokens) return;
      const newest = this.running.reduce((last, { joined }, i) => (joined > this.running[last]!.joined ? i : last), 0);
      const item = this.leave(newest);
      item.suffix = [...item.suffix, ...item.given];
      item.given.length = 0;
      this.waiting.unshift(item);
    }
  }

  /** Gives an item its next token; false when its answer has ended. */
  private take(item: Item, prediction: Prediction): boolean {
    item.given.push(item.answer.take(prediction));
    const { ended } = item.answer;
    if (ended === undefined) return true;
    const seconds = (from: number, to: number) => (to - from) / 1000;
    item.resolve({
      ...ended,
      suffixSeconds: seconds(item.suffixBegun, item.suffixRead),
      decodeSeconds: seconds(item.suffixRead, performance.now()),
    });
    return false;
  }

  /** Takes an item out; the last one takes its place, as in the tails. */
  private leave(index: number): Item {
    const item = this.running[index] as Item;
    this.running[index] = this.running.at(-1) as Item;
    this.running.pop();
    this.tails.remove(index);
    this.layout = undefined;
    return item;
  }
}

const needsOf = ({ answer }: Item): PredictionNeeds => answer.needs;
