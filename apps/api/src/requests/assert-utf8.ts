import { isUtf8 } from 'node:buffer';

/** For body-parser, which would put U+FFFD in place of what is no text, and nobody would know. */
export function assertUtf8(_request: unknown, _response: unknown, body: Buffer): void {
  if (!isUtf8(body)) throw new Error('not UTF-8');
}
