import { EngineAbortedError } from './engine-errors.js';

/**
 * How long decoding may go on for each second that a chunk of a prefill took. 1: while both want to run, each runs at half
 * its speed, so that neither a long document nor many answers keep the other waiting.
 */
const DECODE_SHARE = 1;

/** One that runs graphs now and then; between two runs it waits for its turn. */
export interface Turn {
  /** Ends this turn and waits for the next one. Rejects with `EngineAbortedError` once its signal is aborted. */
  next(): Promise<void>;
  /** Has nothing more to run. */
  leave(): void;
}

interface Participant {
  /** Chunks it still wants to run; undefined: it decodes. */
  chunks: number | undefined;
  readonly signal: AbortSignal | undefined;
  waiting: { readonly resolve: () => void; readonly reject: (error: Error) => void } | undefined;
}

/**
 * Who runs next. A graph blocks the thread that runs it, so everything in it takes turns: prefills a chunk at a time, the
 * one that has least left first; decoding a step at a time, as long as it has had less than its share of the time.
 */
export class Turns {
  private readonly participants = new Set<Participant>();
  private holder: Participant | undefined;
  private since = 0;
  /** Milliseconds that decoding may go on before it is a prefill's turn. */
  private owed = 0;
  private scheduled = false;

  /** @param now milliseconds of a clock */
  constructor(private readonly now: () => number = () => performance.now()) {}

  /** @param chunks how many runs it will take, about */
  prefill(chunks: number, signal?: AbortSignal): Turn {
    return this.enter({ chunks, signal, waiting: undefined });
  }

  decode(): Turn {
    return this.enter({ chunks: undefined, signal: undefined, waiting: undefined });
  }

  private enter(participant: Participant): Turn {
    this.participants.add(participant);
    return {
      next: () => {
        this.release(participant);
        const turn = new Promise<void>((resolve, reject) => {
          participant.waiting = { resolve, reject };
        });
        this.schedule();
        return turn;
      },
      leave: () => {
        this.release(participant);
        this.participants.delete(participant);
        this.schedule();
      },
    };
  }

  private release(participant: Participant): void {
    if (this.holder !== participant) return;
    const milliseconds = this.now() - this.since;
    this.owed = participant.chunks === undefined ? this.owed - milliseconds : DECODE_SHARE * milliseconds;
    this.holder = undefined;
  }

  /** Grants after the messages that have come in meanwhile: an abort among them ends a wait, a call joins it. */
  private schedule(): void {
    if (this.scheduled) return;
    this.scheduled = true;
    setImmediate(() => {
      this.scheduled = false;
      this.grant();
    });
  }

  private grant(): void {
    for (const participant of this.participants) {
      if (participant.signal?.aborted !== true) continue;
      participant.waiting?.reject(new EngineAbortedError());
      participant.waiting = undefined;
    }
    if (this.holder !== undefined) return;
    const next = this.choose();
    if (next?.waiting === undefined) return;
    const { resolve } = next.waiting;
    next.waiting = undefined;
    if (next.chunks !== undefined) next.chunks--;
    this.holder = next;
    this.since = this.now();
    resolve();
  }

  private choose(): Participant | undefined {
    let decode: Participant | undefined;
    let prefill: Participant | undefined;
    for (const participant of this.participants) {
      if (participant.waiting === undefined) continue;
      if (participant.chunks === undefined) decode = participant;
      else if (prefill?.chunks === undefined || participant.chunks < prefill.chunks) prefill = participant;
    }
    return decode !== undefined && (this.owed > 0 || prefill === undefined) ? decode : (prefill ?? decode);
  }
}
