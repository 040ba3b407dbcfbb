import { ApiKeys } from '@app/api-keys';
import { ApiError } from '@app/batches';
import type { NextFunction, Request, RequestHandler, Response } from 'express';

const BEARER = /^Bearer +(\S+) *$/i;

/**
 * Lets requests through that carry one of the keys, and all of them while there is no key yet.
 * @param always whether a key is needed even then, since others can reach the service
 */
export function requireApiKey(keys: ApiKeys, always: boolean): RequestHandler {
  return async (request: Request, response: Response, next: NextFunction) => {
    try {
      const { authorization } = request.headers;
      const key = BEARER.exec(authorization ?? '')?.[1];
      const { any, valid } = await keys.check(key);
      if (!valid && !any && !always) return next();
      if (valid) {
        // One spelling: clients are told apart by this header from here on.
        request.headers.authorization = `Bearer ${key}`;
        return next();
      }
      response.setHeader('www-authenticate', 'Bearer');
      throw ApiError.noValidKey(
        authorization === undefined
          ? "You didn't provide an API key. Send one in the header 'Authorization: Bearer lh-...'; 'longhaul keys create' makes one."
          : "Incorrect API key provided. Send one that 'longhaul keys create' made, and that is not revoked, as 'Authorization: Bearer lh-...'.",
      );
    } catch (error) {
      next(error);
    }
  };
}
