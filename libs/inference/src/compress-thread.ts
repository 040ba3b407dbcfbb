import { parentPort, workerData } from 'node:worker_threads';
import type { InferenceSession } from 'onnxruntime-node';
import { type CompressMessage, compressHeads, heldArrays, revived } from './compress-heads.js';
import { buffersOf } from './kv-memory.js';
import { openMatching } from './match-head.js';

/** Entry of a thread that compresses heads for the engine's: arrays come, and go back, without being copied. */
const { matchThreads } = workerData as { readonly matchThreads: number };
let opened: Promise<InferenceSession> | undefined;
const matching = (headSize: number): Promise<InferenceSession> => {
  opened ??= openMatching(headSize, matchThreads);
  return opened;
};

async function answer({ work, replyTo }: CompressMessage): Promise<void> {
  const held = await compressHeads(revived(work), { matching });
  replyTo.postMessage(held, buffersOf(heldArrays(held)));
}

// One cache after the other: two at a time would take more memory than is planned for.
let last = Promise.resolve();
parentPort?.on('message', (message: CompressMessage) => {
  last = last.then(() => answer(message));
});
