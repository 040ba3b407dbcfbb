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

const UNANSWERED = {
  cancelled: { code: 'batch_cancelled', message: 'The batch was cancelled before this request was answered.' },
  expired: {
    code: 'batch_expired',
    message: 'This request could not be answered before the completion window of its batch ended.',
  },
};

/** An item whose batch ended before it was answered. */
export function unansweredItem(customId: string, ending: keyof typeof UNANSWERED): ItemResult {
  return { id: newItemId(), custom_id: customId, response: null, error: UNANSWERED[ending] };
}

/** An item that was answered. */
export function answeredItem(customId: string, body: unknown): ItemResult {
  const response = { status_code: 200, request_id: newRequestId(), body };
  return { id: newItemId(), custom_id: customId, response, error: null };
}

const newItemId = (): string => `batch_req_${randomUUID().replaceAll('-', '')}`;
const newRequestId = (): string => `req_${randomUUID().replaceAll('-', '')}`;
