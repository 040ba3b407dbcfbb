import { parentPort, workerData } from 'node:worker_threads';
import { Engine, type EngineOptions } from './engine.js';
import { callEngine, type EngineReply, type EngineRequest, toPlainError } from './engine-messages.js';
import type { AnswerPiece } from './engine-port.js';

/** Entry of the engine's thread: opens the engine, then executes calls as they come; `close` after all others. */
async function main(): Promise<void> {
  const port = parentPort;
  if (port === null) throw new Error('engine-thread.js is the entry of a worker thread; call startEngine instead.');
  const reply = (message: EngineReply) => port.postMessage(message);
  const engine = await Engine.open(workerData as EngineOptions);
  const calls = new Map<number, { readonly abort: AbortController; readonly ended: Promise<void> }>();

  port.on('message', (request: EngineRequest) => {
    if (request.kind === 'abort') {
      calls.get(request.id)?.abort.abort();
      return;
    }
    const { id, method, argument, pieces } = request;
    const onPiece = pieces ? (piece: AnswerPiece) => reply({ kind: 'piece', id, piece }) : undefined;
    const abort = new AbortController();
    const before = method === 'close' ? [...calls.values()] : [];
    for (const call of before) call.abort.abort();
    const ended = Promise.all(before.map((call) => call.ended))
      .then(() => callEngine(engine, method, argument, abort.signal, onPiece))
      .then(
        (result) => reply({ kind: 'result', id, result }),
        (error) => reply({ kind: 'error', id, error: toPlainError(error) }),
      )
      .then(() => {
        calls.delete(id);
        if (method === 'close') port.close();
      });
    calls.set(id, { abort, ended });
  });
  reply({ kind: 'ready', model: engine.model });
}

main().catch((error) => parentPort?.postMessage({ kind: 'failed', error: toPlainError(error) } satisfies EngineReply));
