import { createHash } from 'node:crypto';
import type { Request } from 'express';

/** Tells clients apart, by their key, else by their address; not to be turned back into either. */
export const clientKey = ({ headers, socket }: Request): string =>
  createHash('sha256')
    .update(headers.authorization ?? socket.remoteAddress ?? '')
    .digest('hex')
    .slice(0, 32);
