import { ApiKeys } from '@app/api-keys';
import { ApiError } from '@app/batches';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { isLoopback } from '../loopback.js';

const BEARER = /^Bearer +(\S+) *$/i;

/**
 * Lets requests through that carry one of the keys; while there has never been a key, all that come from this machine.
 * @param always whether a key is needed even then, since others can reach the service
 */
export function requireApiKey(keys: ApiKeys, always: boolean): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction) => {
    try {
      const { authorization } = request.headers;
      const key = BEARER.exec(authorization ?? '')?.[1];
      const { any, valid } = await keys.check(key);
      if (valid) {
        // One spelling: clients are told apart by this header from here on.
        request.headers.authorization = `Bearer ${key}`;
        return next();
      }
      const needed = any || always;
      if (!needed && isLocal(request)) return next();
      response.setHeader('www-authenticate', 'Bearer');
      throw ApiError.noValidKey(needed ? (authorization === undefined ? NO_KEY : WRONG_KEY) : NOT_LOCAL);
    } catch (error) {
      next(error);
    }
  };
}

const NO_KEY =
  "You didn't provide an API key. Send one in the header 'Authorization: Bearer lh-...'; 'longhaul keys create' makes one.";
const WRONG_KEY =
  "Incorrect API key provided. Send one that 'longhaul keys create' made, and that is not revoked, as 'Authorization: Bearer lh-...'.";
const NOT_LOCAL =
  'Without an API key this service answers requests to localhost or 127.0.0.1 alone, and none that a proxy passes on or a ' +
  "page of another site sends. 'longhaul keys create' makes a key.";

/** What proxies add, also those that ask for 127.0.0.1 themselves. */
const PROXIED = /^(forwarded|via|x-real-ip|x-forwarded-.*)$/;

/**
 * Whether a request is meant for this machine. A page of another site could send one from a browser here too: then it names
 * that site, as `Origin` or, where the site's name has been pointed here (DNS rebinding), as `Host`. What images and scripts
 * of a page ask for has no `Origin`; then browsers say in `Sec-Fetch-Site` whose page it is.
 */
function isLocal({ headers }: Request): boolean {
  const { host, origin, 'sec-fetch-site': site } = headers;
  return (
    (host === undefined || isLocalAddress(`http://${host}`)) &&
    (origin === undefined || isLocalAddress(origin)) &&
    site !== 'cross-site' &&
    site !== 'same-site' &&
    !Object.keys(headers).some((name) => PROXIED.test(name))
  );
}

function isLocalAddress(url: string): boolean {
  return URL.canParse(url) && isLoopback(new URL(url).hostname.replace(/^\[(.*)\]$/, '$1'));
}
