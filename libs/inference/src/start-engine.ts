import { Worker } from 'node:worker_threads';
import type { EngineOptions } from './engine.js';
import { EngineCrashedError } from './engine-errors.js';
import { type EngineMethod, type EngineReply, type EngineRequest, fromPlainError } from './engine-messages.js';
import type {
  AnswerPiece,
  CacheHandle,
  EngineModel,
  EnginePort,
  GenerateRequest,
  Generation,
  HeldCache,
  PrefillRequest,
  StoreRequest,
} from './engine-port.js';

interface Call {
  readonly onPiece: ((piece: AnswerPiece) => void) | undefined;
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** The engine behind its port, in a thread of its own, so that the caller's event loop never waits for a graph. */
class ThreadedEngine implements EnginePort {
  private readonly calls = new Map<number, Call>();
  private nextId = 1;
  private ended: Error | undefined;
  private closed: Promise<void> | undefined;

  constructor(
    private readonly thread: Worker,
    readonly model: EngineModel,
  ) {
    thread.on('message', (reply: EngineReply) => this.settle(reply));
    thread.on('error', (error) => this.end(new EngineCrashedError(error.message)));
    thread.on('exit', (code) => this.end(new EngineCrashedError(`exit code ${code}`)));
  }

  prefill(request: PrefillRequest, signal?: AbortSignal): Promise<HeldCache> {
    return this.call('prefill', request, signal) as Promise<HeldCache>;
  }

  generate(
    request: GenerateRequest,
    signal?: AbortSignal,
    onPiece?: (piece: AnswerPiece) => void,
  ): Promise<Generation> {
    return this.call('generate', request, signal, onPiece) as Promise<Generation>;
  }

  async release(handle: CacheHandle): Promise<void> {
    await this.call('release', handle);
  }

  store(request: StoreRequest): Promise<boolean> {
    return this.call('store', request) as Promise<boolean>;
  }

  restore(key: string): Promise<HeldCache | undefined> {
    return this.call('restore', key) as Promise<HeldCache | undefined>;
  }

  close(): Promise<void> {
    this.closed ??= this.call('close', undefined).then(async () => {
      await this.thread.terminate();
    });
    return this.closed;
  }

  private async call(
    method: EngineMethod,
    argument: unknown,
    signal?: AbortSignal,
    onPiece?: (piece: AnswerPiece) => void,
  ): Promise<unknown> {
    if (this.ended !== undefined) throw this.ended;
    const id = this.nextId++;
    const abort = () => this.post({ kind: 'abort', id });
    const result = new Promise((resolve, reject) => this.calls.set(id, { resolve, reject, onPiece }));
    this.post({ kind: 'call', id, method, argument, pieces: onPiece !== undefined });
    if (signal?.aborted) abort();
    signal?.addEventListener('abort', abort, { once: true });
    try {
      return await result;
    } finally {
      signal?.removeEventListener('abort', abort);
    }
  }

  private post(request: EngineRequest): void {
    this.thread.postMessage(request);
  }

  private settle(reply: EngineReply): void {
    if (reply.kind === 'piece') this.calls.get(reply.id)?.onPiece?.(reply.piece);
    if (reply.kind !== 'result' && reply.kind !== 'error') return;
    const call = this.calls.get(reply.id);
    this.calls.delete(reply.id);
    if (reply.kind === 'result') call?.resolve(reply.result);
    else call?.reject(fromPlainError(reply.error));
  }

  private end(error: Error): void {
    this.ended ??= error;
    for (const call of this.calls.values()) call.reject(this.ended);
    this.calls.clear();
  }
}

/**
 * Starts an engine in its own thread and waits until its model is loaded; the first start makes the model's graphs.
 * Rejects with what is wrong with the model file, or `EngineCrashedError`.
 */
export async function startEngine(options: EngineOptions): Promise<EnginePort> {
  const thread = new Worker(new URL('./engine-thread.js', import.meta.url), { workerData: options });
  const reply = await new Promise<EngineReply>((resolve, reject) => {
    thread.once('message', resolve);
    thread.once('error', reject);
    thread.once('exit', (code) => reject(new EngineCrashedError(`exit code ${code}`)));
  });
  if (reply.kind === 'ready') return new ThreadedEngine(thread, reply.model);
  await thread.terminate();
  throw reply.kind === 'failed'
    ? fromPlainError(reply.error)
    : new EngineCrashedError(`unexpected message '${reply.kind}'`);
}
