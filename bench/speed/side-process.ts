import { type ChildProcess, fork } from 'node:child_process';
import { join } from 'node:path';
import type { Usage } from './clock.js';
import type {
  Answer,
  BatchRequest,
  BatchResult,
  Held,
  HoldRequest,
  Side,
  SideName,
  SideSettings,
  VariantOf,
} from './side.js';

/** A call from the bench to a side's process, and its outcome. */
export interface SideCall {
  readonly id: number;
  readonly method: keyof Side<unknown>;
  readonly args: unknown[];
}
export type SideReply =
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: string };

/** A side's process ended, or a call of it failed. */
export class SideFailedError extends Error {
  override readonly name = 'SideFailedError';
}

interface Pending {
  readonly resolve: (result: unknown) => void;
  readonly reject: (error: Error) => void;
}

/** A side in a process of its own: the other one's memory and threads do not disturb it. */
export class SideProcess<Name extends SideName> implements Side<VariantOf<Name>> {
  private readonly pending = new Map<number, Pending>();
  private readonly child: ChildProcess;
  private nextId = 1;

  constructor(
    readonly name: Name,
    settings: SideSettings,
  ) {
    this.child = fork(join(import.meta.dirname, 'side-child.js'), [name, JSON.stringify(settings)], {
      serialization: 'advanced',
      // As `npm start` starts a worker; the peer has it, too.
      env: { GLIBC_TUNABLES: 'glibc.malloc.hugetlb=1', ...process.env },
    });
    this.child.on('message', (reply: SideReply) => this.settle(reply));
    this.child.on('exit', (code, signal) => this.end(`${name} ended with ${signal ?? `exit code ${code}`}`));
    this.child.on('error', (error) => this.end(`${name} could not be started: ${error.message}`));
  }

  get pid(): number {
    return this.child.pid ?? 0;
  }

  load(): Promise<void> {
    return this.call('load') as Promise<void>;
  }

  prefill(tokens: readonly number[], variant: VariantOf<Name>): Promise<number> {
    return this.call('prefill', tokens, variant) as Promise<number>;
  }

  hold(request: HoldRequest<VariantOf<Name>>): Promise<Held> {
    return this.call('hold', request) as Promise<Held>;
  }

  answer(name: string, suffix: readonly number[], answerTokens: number): Promise<Answer> {
    return this.call('answer', name, suffix, answerTokens) as Promise<Answer>;
  }

  release(name: string): Promise<void> {
    return this.call('release', name) as Promise<void>;
  }

  batch(request: BatchRequest<VariantOf<Name>>): Promise<BatchResult> {
    return this.call('batch', request) as Promise<BatchResult>;
  }

  usage(): Promise<Usage> {
    return this.call('usage') as Promise<Usage>;
  }

  /** Resolves when the process is gone. */
  async close(): Promise<void> {
    if (this.child.exitCode !== null || this.child.signalCode !== null) return;
    const exit = new Promise((resolve) => this.child.once('exit', resolve));
    await this.call('close');
    this.child.disconnect();
    await exit;
  }

  private call(method: keyof Side<unknown>, ...args: unknown[]): Promise<unknown> {
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve, reject });
      this.child.send({ id, method, args } satisfies SideCall, (error) => error && reject(error));
    });
  }

  private settle(reply: SideReply): void {
    const call = this.pending.get(reply.id);
    this.pending.delete(reply.id);
    if ('error' in reply) call?.reject(new SideFailedError(`${this.name}: ${reply.error}`));
    else call?.resolve(reply.result);
  }

  private end(reason: string): void {
    for (const { reject } of this.pending.values()) reject(new SideFailedError(reason));
    this.pending.clear();
  }
}
