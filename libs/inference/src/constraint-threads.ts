import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import { EngineAbortedError, UnusableSchemaError } from './engine-errors.js';
import type { TokenConstraint, Vocabulary } from './token-constraint.js';

/** Each takes some 100 MB, and beside what decodes a core while it compiles. */
const MAX_THREADS = 2;

/** What a thread is started with. */
export interface ConstraintWork {
  readonly vocabulary: Vocabulary;
  readonly ebnf: string;
}

/** What it says of an answer, first of all and after each token. */
export type ConstraintMessage = { readonly mask: Int32Array } | { readonly error: string };

interface ConstraintThread {
  readonly worker: Worker;
  /** Answers that are, or wait to be, held to its grammar. */
  users: number;
  compiled: boolean;
}

/**
 * Constraints whose grammars take long to compile, each grammar in a thread of its own: nobody else waits for it, and who
 * gives up ends it. Threads of grammars that are used no more stay until others need their place.
 */
export class ConstraintThreads {
  /** By grammar, the one asked for last at the end. */
  private readonly threads = new Map<string, ConstraintThread>();
  private waiting: (() => void)[] = [];

  constructor(private readonly vocabulary: () => Vocabulary) {}

  /** Rejects with `UnusableSchemaError` where the grammar cannot be decoded by, and where `signal` is aborted with `EngineAbortedError`. */
  async open(ebnf: string, signal?: AbortSignal): Promise<TokenConstraint> {
    let thread = this.threadOf(ebnf);
    while (!thread) {
      await aborted<void>(signal, (resolve) => {
        this.waiting.push(resolve);
      });
      thread = this.threadOf(ebnf);
    }
    const { worker } = thread;
    thread.users++;
    const leave = (): void => this.leave(ebnf, thread);
    const { port1: port, port2 } = new MessageChannel();
    try {
      worker.postMessage(port2, [port2]);
      const mask = await maskFrom(port, signal);
      thread.compiled = true;
      if (mask === undefined) throw new UnusableSchemaError();
      return new DistantConstraint(port, mask, leave);
    } catch (error) {
      port.close();
      leave();
      throw error;
    }
  }

  async close(): Promise<void> {
    await Promise.all([...this.threads.values()].map(({ worker }) => worker.terminate()));
    this.threads.clear();
  }

  /** Undefined while all threads are at work. */
  private threadOf(ebnf: string): ConstraintThread | undefined {
    let thread = this.threads.get(ebnf);
    if (!thread) {
      if (this.threads.size >= MAX_THREADS) {
        const [idle] = [...this.threads].find(([, { users }]) => users === 0) ?? [];
        if (idle === undefined) return undefined;
        this.end(idle);
      }
      const workerData: ConstraintWork = { vocabulary: this.vocabulary(), ebnf };
      const worker = new Worker(new URL('./constraint-thread.js', import.meta.url), { workerData });
      // Its answers see that their ports are closed.
      worker.on('error', () => this.threads.get(ebnf)?.worker === worker && this.end(ebnf));
      thread = { worker, users: 0, compiled: false };
    }
    this.threads.delete(ebnf);
    this.threads.set(ebnf, thread);
    return thread;
  }

  private leave(ebnf: string, thread: ConstraintThread): void {
    thread.users--;
    if (thread.users > 0) return;
    // Nobody wants what it compiles any more.
    if (!thread.compiled && this.threads.get(ebnf) === thread) this.end(ebnf);
    const waiting = this.waiting;
    this.waiting = [];
    for (const resolve of waiting) resolve();
  }

  private end(ebnf: string): void {
    void this.threads.get(ebnf)?.worker.terminate();
    this.threads.delete(ebnf);
  }
}

/** A constraint in another thread, one message away. */
class DistantConstraint implements TokenConstraint {
  ready: Promise<void> = Promise.resolve();
  private disposed = false;
  private ended = false;

  constructor(
    private readonly port: MessagePort,
    public mask: Int32Array,
    private readonly leave: () => void,
  ) {
    port.once('close', () => {
      this.ended = true;
    });
  }

  accept(token: number): void {
    const next = this.ended ? Promise.resolve(undefined) : maskFrom(this.port);
    this.ready = next.then((mask) => {
      if (this.disposed) return;
      if (mask === undefined) throw new Error(`the grammar does not allow the token ${token}, or its thread has ended`);
      this.mask = mask;
    });
    // Told to whoever waits for it; where the answer has ended nobody does.
    this.ready.catch(() => undefined);
    this.port.postMessage(token);
  }

  dispose(): void {
    if (this.disposed) return;
    this.disposed = true;
    this.port.close();
    this.leave();
  }
}

/** The next mask that is told; undefined where there is none. Rejects where `signal` is aborted. */
function maskFrom(port: MessagePort, signal?: AbortSignal): Promise<Int32Array | undefined> {
  return aborted(signal, (resolve) => {
    const settle = (message?: ConstraintMessage): void => {
      port.off('message', settle);
      port.off('close', close);
      resolve(message && 'mask' in message ? message.mask : undefined);
    };
    const close = (): void => settle();
    port.on('message', settle);
    port.on('close', close);
  });
}

/** What `begin` resolves with, unless `signal` is aborted before. */
function aborted<T>(signal: AbortSignal | undefined, begin: (resolve: (value: T) => void) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    const abort = (): void => reject(new EngineAbortedError());
    if (signal?.aborted) return abort();
    signal?.addEventListener('abort', abort, { once: true });
    begin((value) => {
      signal?.removeEventListener('abort', abort);
      resolve(value);
    });
  });
}
