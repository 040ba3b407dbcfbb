import { parentPort, workerData } from 'node:worker_threads';
import { GgufModel } from '@app/gguf-model';
import { ModelPrompts, RefusedMessagesError } from './model-prompts.js';
import type { PromptAnswer, PromptCall } from './prompt-thread.js';

/** Entry of the thread that encodes prompts for a worker. Calls that come before the model is open wait for it. */
const opened = GgufModel.open(workerData as string).then(async (model) => {
  await model.close();
  return new ModelPrompts(model);
});

parentPort?.on('message', async ({ method, argument, replyTo }: PromptCall) => {
  const prompts = await opened;
  try {
    const result = prompts[method](argument as never);
    replyTo.postMessage({ result } satisfies PromptAnswer, [result.buffer as ArrayBuffer]);
  } catch (error) {
    if (!(error instanceof RefusedMessagesError)) throw error;
    replyTo.postMessage({ problem: error.message } satisfies PromptAnswer);
  }
});
