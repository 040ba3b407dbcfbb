import type { CompressionRequest } from './compression.js';
import type { DocumentReader } from './documents.js';
import { parseChatCompletion, parseTextCompletion } from './parse-request.js';
import { type EncodedRequest, encodeRequest, type PromptEncoder } from './prompt.js';
import { textLadder } from './text-ladder.js';
import { encodeTextRequest, type TextEncoder } from './text-plan.js';

/** What a batch can address; all its lines have the one that it names. */
export const BATCH_ENDPOINTS = ['/v1/chat/completions', '/v1/completions'] as const;
export type BatchEndpoint = (typeof BATCH_ENDPOINTS)[number];

/** The valid request of one line, whatever its endpoint. */
export interface LineRequest {
  readonly model: string;
  readonly compression: CompressionRequest | undefined;
  /** Sorts lines that may share a document next to each other (`textLadder`). */
  ladder(documents: DocumentReader): Promise<string>;
  /**
   * Its prompts: one of a chat, one or more of a text completion.
   * @throws ApiError (400)
   */
  encode(documents: DocumentReader, encoder: PromptEncoder & TextEncoder): Promise<readonly EncodedRequest[]>;
}

const READERS: Readonly<Record<BatchEndpoint, (body: unknown) => LineRequest>> = {
  '/v1/chat/completions': (body) => {
    const request = parseChatCompletion(body);
    return {
      model: request.model,
      compression: request.compression,
      ladder: async (documents) => textLadder(await documents.messages(request)),
      encode: async (documents, encoder) => [await encodeRequest(request, await documents.messages(request), encoder)],
    };
  },
  '/v1/completions': (body) => {
    const request = parseTextCompletion(body);
    const [first] = request.prompt as [string | number[]];
    return {
      model: request.model,
      compression: request.compression,
      // By its first prompt: those of one line are compared with each other in any case.
      ladder: async () => textLadder([{ role: 'user', content: typeof first === 'string' ? first : first.join(' ') }]),
      encode: async (_documents, encoder) => encodeTextRequest(request, encoder),
    };
  },
};

/**
 * The validated request of a line.
 * @throws ApiError (400)
 */
export const readLineRequest = (endpoint: BatchEndpoint, body: unknown): LineRequest => READERS[endpoint](body);

export const isBatchEndpoint = (endpoint: string): endpoint is BatchEndpoint =>
  (BATCH_ENDPOINTS as readonly string[]).includes(endpoint);
