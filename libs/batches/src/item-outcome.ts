import { randomUUID } from 'node:crypto';
import type { ItemResult } from '@app/results';
import type { UnreadableLineError } from './batch-item.js';
import type { ApiError } from './openai-error.js';

/** An item that was understood and refused, or that could not be answered. */
export function refusedItem(customId: string, error: ApiError): ItemResult {
  return {
    id: newItemId(),
    custom_id: customId,
    response: { status_code: error.status, request_id: newRequestId(), body: error.toBody() },
    error: null,
  };
}

/** A line that names no item. */
export function unreadableLine(line: number, { code, message }: UnreadableLineError): ItemResult {
  return { id: newItemId(), custom_id: null, response: null, error: { code, message, line } };
}

/** An item that was answered. */
export function answeredItem(customId: string, body: unknown): ItemResult {
  const response = { status_code: 200, request_id: newRequestId(), body };
  return { id: newItemId(), custom_id: customId, response, error: null };
}

const newItemId = (): string => `batch_req_${randomUUID().replaceAll('-', '')}`;
const newRequestId = (): string => `req_${randomUUID().replaceAll('-', '')}`;
