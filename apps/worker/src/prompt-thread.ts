import { once } from 'node:events';
import { MessageChannel, type MessagePort, Worker } from 'node:worker_threads';
import type { TextMessage } from '@app/batches';
import { type ModelPrompts, RefusedMessagesError } from './model-prompts.js';

/** A call of `ModelPrompts`, and where its answer goes. */
export interface PromptCall {
  readonly method: keyof ModelPrompts;
  readonly argument: unknown;
  readonly replyTo: MessagePort;
}

/** Ids or offsets, or what the template has against the messages. */
export type PromptAnswer = { readonly result: Int32Array | Uint32Array } | { readonly problem: string };

/**
 * `ModelPrompts` in a thread of its own: encoding a long document takes a tenth of a second, in which the event loop would
 * renew no locks and answer nobody. What fails over there is an uncaught error here, which ends the process.
 */
export class PromptThread {
  private readonly thread: Worker;

  constructor(modelPath: string) {
    this.thread = new Worker(new URL('./prompt-thread-entry.js', import.meta.url), { workerData: modelPath });
    this.thread.unref();
  }

  /** @throws RefusedMessagesError where the template refuses the messages */
  async encode(messages: readonly TextMessage[]): Promise<Int32Array> {
    return (await this.call('encode', messages)) as Int32Array;
  }

  async encodeText(text: string): Promise<Int32Array> {
    return (await this.call('encodeText', text)) as Int32Array;
  }

  async tokenEnds(text: string): Promise<Uint32Array> {
    return (await this.call('tokenEnds', text)) as Uint32Array;
  }

  private async call(method: keyof ModelPrompts, argument: unknown): Promise<Int32Array | Uint32Array> {
    const { port1: answers, port2: replyTo } = new MessageChannel();
    this.thread.postMessage({ method, argument, replyTo } satisfies PromptCall, [replyTo]);
    const [answer] = (await once(answers, 'message')) as [PromptAnswer];
    answers.close();
    if ('result' in answer) return answer.result;
    throw new RefusedMessagesError(answer.problem);
  }
}
