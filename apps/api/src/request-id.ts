import { randomUUID } from 'node:crypto';
import type { NextFunction, Request, Response } from 'express';

/** The header that OpenAI's clients report as `_request_id` and as an error's `requestID`. */
export const REQUEST_ID = 'x-request-id';

/** Names every response, so that a client's report can be found in the log. */
export function nameRequest(_request: Request, response: Response, next: NextFunction): void {
  response.setHeader(REQUEST_ID, `req_${randomUUID().replaceAll('-', '')}`);
  next();
}
