import { randomInt, randomUUID } from 'node:crypto';
import { ApiError, type CompletionJob } from '@app/batches';
import { Config } from '@app/config';
import { Injectable } from '@nestjs/common';
import type { Request, Response } from 'express';
import { errorResponse } from '../errors/openai-exception.filter.js';
import { CompletionJobs } from './completion-jobs.service.js';
import { clientGone, sendEvents } from './event-stream.js';
import { type ChunkFormat, streamChunks } from './stream-chunks.js';
import { splitStreamOptions } from './stream-options.js';

/** Seeds below this can be counted up by one a choice. */
const MAX_SEED = 2 ** 47;

/** What an endpoint that answers completions makes of requests and answers. */
export interface CompletionEndpoint {
  readonly kind: CompletionJob['kind'];
  readonly idPrefix: string;
  /** @throws ApiError where the request is wrong */
  read(body: object): { readonly model: string; readonly seed?: number; readonly items: number };
  /** The response, of the items' bodies. */
  body(id: string, items: readonly unknown[]): unknown;
  chunks(id: string, includeUsage: boolean): ChunkFormat;
}

/** Answers a request whole or as it grows. */
@Injectable()
export class Completions {
  constructor(
    private readonly config: Config,
    private readonly jobs: CompletionJobs,
  ) {}

  /** @throws ApiError, while nothing is sent yet */
  async answer(endpoint: CompletionEndpoint, body: object, request: Request, response: Response): Promise<void> {
    const gone = clientGone(response);
    const { body: asked, stream } = splitStreamOptions(body);
    const { model, seed, items } = endpoint.read(asked);
    if (model !== this.config.modelId) throw ApiError.modelNotFound(model);
    const id = `${endpoint.idPrefix}-${randomUUID().replaceAll('-', '')}`;
    const order = { id, kind: endpoint.kind, items };
    if (stream) {
      // A streamed answer that is begun again by another worker must be the same one.
      const settled = { ...asked, seed: seed ?? randomInt(MAX_SEED) };
      const progress = this.jobs.run({ ...order, body: settled, stream: true }, gone);
      const chunks = streamChunks(progress, endpoint.chunks(id, stream.includeUsage));
      await sendEvents(response, chunks, (error) => errorResponse(error, request).toBody());
      return;
    }
    const progress = this.jobs.run({ ...order, body: asked, stream: false }, gone);
    for (;;) {
      const { value, done } = await progress.next();
      if (done) {
        response.json(endpoint.body(id, value));
        return;
      }
    }
  }
}
