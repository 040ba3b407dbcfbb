import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import OpenAI from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { postWebhook, sign, WebhookRefusedError } from './post-webhook.js';
import { PrivateAddressError } from './public-address.js';

const secret = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
let server: Server;
let url: string;
let answers: number[];
const received: { headers: IncomingHttpHeaders; body: string }[] = [];

beforeAll(async () => {
  server = createServer(async (request, response) => {
    received.push({ headers: request.headers, body: await text(request) });
    response.writeHead(answers.shift() ?? 200, { location: url }).end('thanks');
  }).listen(0, '127.0.0.1');
  await once(server, 'listening');
  url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/hooks?x=1`;
});
afterAll(() => server.close());

describe('postWebhook', () => {
  it('signs as the Standard Webhooks say', () => {
    // The example of https://github.com/standard-webhooks/standard-webhooks (libraries, test vectors).
    const signature = sign(secret, 'msg_p5jXN8AQM9LWM0D4loKWxJek', 1_614_265_330, '{"test": 2432232314}');
    expect(signature).toBe('v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=');
  });

  it('sends what the openai client accepts, and it alone', async () => {
    answers = [200];
    const body = JSON.stringify({ id: 'evt_1', type: 'batch.completed', data: { id: 'batch_1' } });
    await postWebhook({ url, secret, allowPrivate: true }, 'evt_1', body);
    const { headers, body: sent } = received.pop()!;
    const { webhooks } = new OpenAI({ apiKey: 'none', webhookSecret: secret });
    const taken = await webhooks.unwrap(sent, headers as Record<string, string>);
    expect(taken).toMatchObject({ type: 'batch.completed', data: { id: 'batch_1' } });
    await expect(webhooks.unwrap(`${sent} `, headers as Record<string, string>)).rejects.toThrow();
  });

  it.each([302, 400, 500])('takes %d for a refusal and follows nothing', async (status) => {
    answers = [status];
    const before = received.length;
    await expect(postWebhook({ url, secret, allowPrivate: true }, 'evt', '{}')).rejects.toThrow(WebhookRefusedError);
    expect(received.length).toBe(before + 1);
  });

  it.each(['127.0.0.1', 'localhost', '2130706433', '0x7f.1', '[::1]', '[::ffff:7f00:1]'])(
    'sends nothing to %s unless that is allowed',
    async (host) => {
      const before = received.length;
      const setting = { url: url.replace('127.0.0.1', host), secret, allowPrivate: false };
      await expect(postWebhook(setting, 'evt', '{}')).rejects.toThrow(PrivateAddressError);
      expect(received.length).toBe(before);
    },
  );
});
