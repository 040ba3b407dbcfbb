import { once } from 'node:events';
import type { OpenAiErrorBody } from '@app/batches';
import type { Response } from 'express';

/** Long before proxies and clients take a silent connection for dead. */
const KEEP_ALIVE_MS = 10_000;

/** A signal that is aborted when the client closes the connection before it has its answer. */
export function clientGone(response: Response): AbortSignal {
  const gone = new AbortController();
  const look = (): void => {
    if (!response.writableFinished) gone.abort();
  };
  // It may have gone already, while its key was checked or its body parsed.
  if (response.closed) look();
  else response.once('close', look);
  return gone.signal;
}

/**
 * Sends chunks as server-sent events, `[DONE]` at the end. While there is nothing to say the response waits, so that an
 * error may still have its status; after ten seconds it begins, and comments keep it alive.
 * @param chunks undefined where there is nothing to say yet
 * @param errorBody of an error after which nothing but an event can tell it
 * @throws what `chunks` throws before the response has begun
 */
export async function sendEvents(
  response: Response,
  chunks: AsyncIterable<object | undefined>,
  errorBody: (error: unknown) => OpenAiErrorBody,
): Promise<void> {
  let lastSent = Date.now();
  const closed = new Promise<void>((resolve) => {
    response.once('close', resolve);
  });
  const send = async (text: string): Promise<void> => {
    if (!response.headersSent) {
      response.status(200);
      response.setHeader('content-type', 'text/event-stream; charset=utf-8');
      response.setHeader('cache-control', 'no-cache');
      // Proxies that gather what they pass on (nginx) leave it alone.
      response.setHeader('x-accel-buffering', 'no');
    }
    lastSent = Date.now();
    if (response.destroyed || response.write(text)) return;
    await Promise.race([once(response, 'drain'), closed]);
  };
  try {
    for await (const chunk of chunks) {
      if (chunk) await send(`data: ${JSON.stringify(chunk)}\n\n`);
      else if (Date.now() - lastSent >= KEEP_ALIVE_MS) await send(': waiting\n\n');
    }
    await send('data: [DONE]\n\n');
  } catch (error) {
    if (!response.headersSent) throw error;
    await send(`data: ${JSON.stringify(errorBody(error))}\n\n`);
  }
  response.end();
}
