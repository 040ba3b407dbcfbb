import { ApiError } from '@app/batches';
import type { Request, Response } from 'express';

/** A part of a file, first and last byte. */
export interface ByteRange {
  readonly start: number;
  readonly end: number;
}

/**
 * The part of a file that a request asks for (RFC 9110, section 14), and the status and headers that say which part is
 * sent; undefined: the whole. As the RFC allows, several ranges at once and what cannot be understood are ignored, and so
 * is a range of another version of the file (`If-Range`).
 * @throws ApiError (416) where the file has no such bytes
 */
export function negotiateRange(
  request: Request,
  response: Response,
  bytes: number,
  etag: string,
): ByteRange | undefined {
  response.setHeader('accept-ranges', 'bytes').setHeader('etag', etag);
  const condition = request.headers['if-range'];
  const ranges = condition === undefined || condition === etag ? request.range(bytes) : undefined;
  if (ranges === -1) {
    response.setHeader('content-range', `bytes */${bytes}`);
    const asked = String(request.headers.range).slice(0, 100);
    const message = `The range '${asked}' lies outside the file, which has ${bytes} bytes.`;
    throw new ApiError(416, 'invalid_request_error', message, 'range', 'range_not_satisfiable');
  }
  if (typeof ranges !== 'object' || ranges.type !== 'bytes' || ranges.length !== 1) return undefined;
  const { start, end } = ranges[0]!;
  response.status(206).setHeader('content-range', `bytes ${start}-${end}/${bytes}`);
  return { start, end };
}
