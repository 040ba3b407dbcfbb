import { once } from 'node:events';
import { type AddressInfo, connect } from 'node:net';
import express, { type Request, type Response } from 'express';
import { describe, expect, it, onTestFinished } from 'vitest';
import { clientGone, sendEvents } from './event-stream.js';

/** One request, and the server's side of it; it is there when its body is. */
async function exchange(body: string) {
  const app = express();
  const arrived = new Promise<[Request, Response]>((resolve) => {
    app.post('/', express.text(), (request, response) => resolve([request, response]));
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const client = connect((server.address() as AddressInfo).port, '127.0.0.1');
  onTestFinished(() => {
    client.destroy();
    server.close();
  });
  client.write(
    `POST / HTTP/1.1\r\nhost: x\r\ncontent-type: text/plain\r\ncontent-length: ${body.length}\r\n\r\n${body}`,
  );
  const [, response] = await arrived;
  return { client, response };
}

describe('clientGone', () => {
  it('knows of a client that went before anybody looked', async () => {
    const { client, response } = await exchange('x');
    const closed = once(response, 'close');
    client.destroy();
    await closed;
    expect(clientGone(response).aborted).toBe(true);
  });

  it('takes nobody for gone who has the answer', async () => {
    const { client, response } = await exchange('x');
    const signal = clientGone(response);
    const closed = once(response, 'close');
    client.resume();
    response.end('done');
    await closed;
    expect([signal.aborted, clientGone(response).aborted]).toEqual([false, false]);
  });
});

describe('sendEvents', () => {
  it('waits for whoever reads slowly, and leaves no listeners', async () => {
    const { client, response } = await exchange('x');
    const listeners = (): number[] => ['close', 'error', 'drain'].map((event) => response.listenerCount(event));
    const before = listeners();
    const most: number[] = [];
    async function* chunks() {
      for (let i = 0; i < 20; i++) {
        yield { text: 'x'.repeat(1_000_000) };
        most.push(response.writableLength);
      }
    }
    client.resume();
    await sendEvents(response, chunks(), () => ({
      error: { message: '', type: 'server_error', param: null, code: null },
    }));
    expect(Math.max(...listeners().map((count, i) => count - before[i]!))).toBeLessThanOrEqual(1);
    expect(Math.max(...most)).toBeLessThan(2_000_000);
  });
});
