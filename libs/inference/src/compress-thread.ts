import { parentPort } from 'node:worker_threads';
import { buffersOf, type CompressMessage, compressHeads, revived } from './compress-heads.js';
import { LetGo } from './kv-memory.js';

/** Entry of a thread that compresses heads for the engine's: arrays come, and go back, without being copied. */
// Nothing else is in this heap, so it is collected at once, and what may wait is still the engine's alone.
const letGo = new LetGo(0);

parentPort?.on('message', ({ work, replyTo }: CompressMessage) => {
  const bytes = work.heads.reduce((sum, { head }) => sum + head.keys.byteLength + head.values.byteLength, 0);
  const held = compressHeads(revived(work));
  const arrays = held.flatMap(({ keys, values, logMass }) => [keys, values, logMass]);
  replyTo.postMessage(held, buffersOf(arrays));
  letGo.add(bytes);
});
