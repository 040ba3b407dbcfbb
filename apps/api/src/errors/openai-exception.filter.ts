import { ApiError } from '@app/batches';
import { isRedisUnavailable } from '@app/results';
import { BlobNotFoundError, BlobStorageError, BlobTooLargeError } from '@app/storage';
import { type ArgumentsHost, Catch, type ExceptionFilter, HttpException, Logger } from '@nestjs/common';
import type { Request, Response } from 'express';
import { REQUEST_ID } from '../request-id.js';
import { uploadError } from './upload-errors.js';

/** Turns every error into OpenAI's error body. What is not the caller's doing is logged and told without details. */
@Catch()
export class OpenAiExceptionFilter implements ExceptionFilter {
  private readonly logger = new Logger('Api');

  catch(thrown: unknown, host: ArgumentsHost): void {
    const http = host.switchToHttp();
    const request = http.getRequest<Request>();
    const response = http.getResponse<Response>();
    if ((request.destroyed && !request.complete) || response.closed) {
      this.logger.debug(`${request.method} ${request.path}: the client went away`);
      return;
    }
    const error = errorResponse(thrown, request);
    if (error.status >= 500) {
      const known = thrown instanceof ApiError || isRedisUnavailable(thrown) || thrown instanceof BlobStorageError;
      const detail = !known && thrown instanceof Error ? thrown.stack : String(thrown);
      this.logger.error(`${request.method} ${request.path} ${response.getHeader(REQUEST_ID)}: ${detail}`);
    }
    // The body has begun or nobody listens any more: the only honest end is a broken connection.
    if (response.headersSent) {
      response.destroy();
      return;
    }
    // Clients take 409 for a passing lock and try again, unless told that it is none.
    if (error.status === 409 && !response.hasHeader('x-should-retry')) response.setHeader('x-should-retry', 'false');
    response.status(error.status).json(error.toBody());
  }
}

/** What a client is told of an error. */
export function errorResponse(thrown: unknown, request: Request): ApiError {
  if (thrown instanceof ApiError) return thrown;
  if (thrown instanceof BlobTooLargeError) {
    return tooLarge(`The file is larger than the ${thrown.maxBytes} bytes allowed.`, 'file');
  }
  if (thrown instanceof BlobNotFoundError) return ApiError.notFound('The content of this file is no longer there.');
  if (thrown instanceof BlobStorageError) {
    return ApiError.server(503, 'The service cannot store data right now. Its log says why.', 'storage_unavailable');
  }
  if (isRedisUnavailable(thrown)) {
    return ApiError.server(503, 'The service cannot reach its queue right now. Try again soon.', 'redis_unavailable');
  }
  const unread = bodyError(thrown, request) ?? uploadError(thrown);
  if (unread) return unread;
  if (thrown instanceof HttpException) return fromHttpException(thrown, request);
  return ApiError.server(500, 'The server had an error while processing your request.');
}

/** What body-parser says, by its `type`; Nest passes these on as they are or as the cause of its own. */
function bodyError(thrown: unknown, request: Request): ApiError | undefined {
  const cause = thrown instanceof HttpException && thrown.cause ? thrown.cause : thrown;
  switch ((cause as { type?: unknown } | undefined)?.type) {
    case 'entity.parse.failed':
      return ApiError.invalid(
        'We could not parse the JSON body of your request. The API expects valid JSON with content-type application/json.',
      );
    case 'entity.verify.failed':
      return ApiError.invalid('The body of your request is not UTF-8 text.', null, 'invalid_encoding');
    case 'entity.too.large':
      return tooLarge(
        `The body is larger than the ${(cause as { limit?: number }).limit} bytes allowed (LONGHAUL_MAX_LINE_BYTES). ` +
          'Upload long documents as files and name them by their ids.',
      );
    case 'charset.unsupported':
    case 'encoding.unsupported':
      return new ApiError(415, 'invalid_request_error', `${(cause as Error).message}. Send UTF-8, not compressed.`);
    case 'request.aborted':
    case 'request.size.invalid':
      return ApiError.invalid(`The body of ${request.method} ${request.path} did not arrive whole.`);
    default:
      return undefined;
  }
}

function fromHttpException(thrown: HttpException, request: Request): ApiError {
  const status = thrown.getStatus();
  // Nest's own 404: no route. Ours are ApiErrors.
  if (status === 404) {
    return ApiError.notFound(`Unknown request URL: ${request.method} ${request.path}`, null, 'unknown_url');
  }
  // Express' own, of what it reads before any of ours.
  if (thrown.message.startsWith('Failed to decode param')) {
    return ApiError.invalid('The path must be UTF-8, percent-encoded.', 'id', 'invalid_encoding');
  }
  const coding = request.headers['content-encoding'];
  if (status === 400 && coding !== undefined) {
    return ApiError.invalid(`The body is not what its content-encoding says (${coding.slice(0, 100)}).`);
  }
  return status >= 500
    ? ApiError.server(status, 'The server had an error while processing your request.')
    : new ApiError(status, 'invalid_request_error', thrown.message);
}

const tooLarge = (message: string, param: string | null = null): ApiError =>
  new ApiError(413, 'invalid_request_error', message, param, 'request_too_large');
