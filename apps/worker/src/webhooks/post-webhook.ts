import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { type IncomingMessage, request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';
import { isIP } from 'node:net';
import type { WebhookSetting } from '@app/config';
import { isPublicAddress, lookUpPublic, PrivateAddressError } from './public-address.js';

/** From name to answer. */
const TIMEOUT_MS = 15_000;

/** The receiver answered, but did not take it. */
export class WebhookRefusedError extends Error {
  override readonly name = 'WebhookRefusedError';
  constructor(readonly status: number) {
    super(`The webhook's receiver answered ${status}, expected 200 to 299.`);
  }
}

/**
 * Sends one event, signed by the Standard Webhooks scheme (v1: HMAC-SHA256 of `id.timestamp.body`). Follows no redirects.
 * Rejects with `WebhookRefusedError`, `PrivateAddressError`, or what the network says.
 */
export async function postWebhook(
  { url, secret, allowPrivate }: WebhookSetting,
  id: string,
  body: string,
  timestamp: number = Math.floor(Date.now() / 1000),
): Promise<void> {
  const { protocol, hostname } = new URL(url);
  const host = hostname.replace(/^\[|\]$/g, '');
  if (!allowPrivate && isIP(host) !== 0 && !isPublicAddress(host)) throw new PrivateAddressError(host);
  const request = (protocol === 'https:' ? requestHttps : requestHttp)(url, {
    method: 'POST',
    headers: {
      'content-type': 'application/json',
      'content-length': Buffer.byteLength(body),
      'user-agent': 'Longhaul',
      'webhook-id': id,
      'webhook-timestamp': timestamp,
      'webhook-signature': sign(secret, id, timestamp, body),
    },
    // No connection is kept: events are rare.
    agent: false,
    signal: AbortSignal.timeout(TIMEOUT_MS),
    ...(allowPrivate ? {} : { lookup: lookUpPublic }),
  });
  request.end(body);
  const [response] = (await once(request, 'response')) as [IncomingMessage];
  const status = response.statusCode ?? 0;
  // What the receiver says is of no interest, nor how its connection ends.
  request.on('error', () => undefined);
  response.on('error', () => undefined).destroy();
  if (status < 200 || status > 299) throw new WebhookRefusedError(status);
}

/** The value of `webhook-signature`. */
export const sign = (secret: string, id: string, timestamp: number, body: string): string => {
  const key = Buffer.from(secret.replace(/^whsec_/, ''), 'base64');
  return `v1,${createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64')}`;
};
