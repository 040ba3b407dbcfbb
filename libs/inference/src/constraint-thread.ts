import { type MessagePort, parentPort, workerData } from 'node:worker_threads';
import type { ConstraintMessage, ConstraintWork } from './constraint-threads.js';
import { GrammarLibrary } from './grammar-library.js';

/** Entry of a thread that compiles one grammar and says which tokens each answer by it may go on with. */
const { vocabulary, ebnf } = workerData as ConstraintWork;
const library = new GrammarLibrary(() => vocabulary);

/** An answer: each message is a token that it went on with, and gets the mask of those that may follow. */
async function follow(port: MessagePort): Promise<void> {
  const reply = (message: ConstraintMessage) => port.postMessage(message);
  const constraint = await library.open(ebnf);
  // A copy: it may lie in the library's whole memory.
  const tell = () => reply({ mask: constraint.mask.slice() });
  port.on('message', async (token: number) => {
    try {
      constraint.accept(token);
      await constraint.ready;
      tell();
    } catch (error) {
      reply({ error: String(error) });
    }
  });
  port.on('close', () => constraint.dispose());
  tell();
}

parentPort?.on('message', (port: MessagePort) => {
  follow(port).catch((error) => port.postMessage({ error: String(error) } satisfies ConstraintMessage));
});
