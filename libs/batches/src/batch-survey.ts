import { buffer } from 'node:stream/consumers';
import { setImmediate } from 'node:timers/promises';
import type { ItemResult } from '@app/results';
import type { BlobStore } from '@app/storage';
import { type BatchEndpoint, type LineRequest, type PromptMaker, readLineRequest } from './batch-endpoint.js';
import { checkEnvelope, readBatchItem, UnreadableLineError } from './batch-item.js';
import { readBatchLines } from './batch-lines.js';
import type { BatchError } from './batch-record.js';
import {
  askedCompression,
  type CompressionChoice,
  type CompressionRequest,
  compressionKey,
  type PolicyBudget,
} from './compression.js';
import { refusedItem, unreadableLine } from './item-outcome.js';
import type { LongPrompts } from './long-text.js';
import { ApiError } from './openai-error.js';

/** A valid line, and what is needed to find it again. */
export interface SurveyedItem {
  readonly index: number;
  readonly line: number;
  readonly start: number;
  readonly length: number;
  /** What was asked of the cache; undefined where nothing was. */
  readonly compression: CompressionChoice | undefined;
  /** Sorts items that may share a group next to each other. */
  readonly ladder: string;
  /** Of its prompts, those that do not fit and are shortened. */
  readonly tooLong: LongPrompts;
  /** Which part of its document this stands for, from 0, where it is read in parts. */
  readonly part?: number;
}

/** What is known of a batch after reading its file once. */
export interface BatchSurvey {
  /** Non-empty lines. */
  readonly total: number;
  readonly items: readonly SurveyedItem[];
  /** Lines that will never be answered, by index. */
  readonly refused: ReadonlyMap<number, ItemResult>;
}

/** The batch as a whole cannot be run. */
export class InvalidBatchError extends Error {
  override readonly name = 'InvalidBatchError';
  constructor(readonly errors: readonly BatchError[]) {
    super(errors.map(({ message }) => message).join(' '));
  }
}

export interface SurveyOptions {
  readonly maxLineBytes: number;
  readonly maxLines: number;
  readonly endpoint: BatchEndpoint;
  /** The only model that is served. */
  readonly model: string;
  /** Of the whole batch. */
  readonly batchCompression: CompressionRequest | undefined;
  /** Of the configuration. */
  readonly compression: PolicyBudget;
  /** Aborted: gives the survey up. */
  readonly signal?: AbortSignal | undefined;
}

/**
 * Reads a batch file once: validates every line and notes where the valid ones are. Bodies and documents are not kept.
 * @throws InvalidBatchError for an empty file or one with too many lines.
 */
export async function surveyBatch(
  blobs: BlobStore,
  blobKey: string,
  maker: PromptMaker,
  options: SurveyOptions,
): Promise<BatchSurvey> {
  const items: SurveyedItem[] = [];
  const refused = new Map<number, ItemResult>();
  const seen = new Set<string>();
  let total = 0;
  for await (const line of readBatchLines(await blobs.open(blobKey), options.maxLineBytes)) {
    total = line.index + 1;
    if (total > options.maxLines) {
      const message = `The batch file has more than ${options.maxLines} lines. Split it.`;
      throw invalidBatch('too_many_tasks', message, line.line);
    }
    let customId: string | undefined;
    try {
      const item = readBatchItem(line, options.maxLineBytes);
      customId = item.customId;
      if (seen.has(customId)) throw duplicate(customId);
      seen.add(customId);
      checkEnvelope(item, options.endpoint);
      const request = readLineRequest(options.endpoint, item.body);
      if (request.model !== options.model) throw ApiError.modelNotFound(request.model);
      const compression = askedCompression(request.compression, options.batchCompression, options.compression);
      const ladder = compressionKey(compression) + (await request.ladder(maker.documents));
      const tooLong = await request.measure(maker);
      const { index, line: number, start, length } = line;
      items.push({ index, line: number, start, length, compression, ladder, tooLong });
    } catch (error) {
      refused.set(line.index, refusal(line.line, customId, error));
    }
    // A turn for the lock renewals and everything else of this thread.
    await setImmediate();
    options.signal?.throwIfAborted();
  }
  if (total === 0) throw invalidBatch('empty_file', 'The batch file has no lines.', null);
  return { total, items, refused };
}

/** Reads a surveyed line again. */
export async function readSurveyedItem(
  blobs: BlobStore,
  blobKey: string,
  endpoint: BatchEndpoint,
  { index, line, start, length }: SurveyedItem,
): Promise<{ customId: string; request: LineRequest }> {
  const bytes = await buffer(await blobs.open(blobKey, { start, end: start + length - 1 }));
  const { customId, body } = readBatchItem({ index, line, start, length, bytes }, length);
  return { customId, request: readLineRequest(endpoint, body) };
}

/**
 * The outcome of a line that cannot be answered.
 * @throws what says nothing about the line, such as a Redis that is away
 */
export function refusal(line: number, customId: string | undefined, error: unknown): ItemResult {
  if (error instanceof UnreadableLineError) return unreadableLine(line, error);
  if (error instanceof ApiError && customId !== undefined) return refusedItem(customId, error);
  throw error;
}

const duplicate = (customId: string): ApiError =>
  ApiError.invalid(
    `custom_id '${customId}' stands in an earlier line already; only that one is answered.`,
    'custom_id',
    'duplicate_custom_id',
  );

const invalidBatch = (code: string, message: string, line: number | null): InvalidBatchError =>
  new InvalidBatchError([{ code, message, param: null, line }]);
