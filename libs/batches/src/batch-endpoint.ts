import type { CompressionChoice, CompressionRequest } from './compression.js';
import type { DocumentReader } from './documents.js';
import { encodeCut, encodePart, longChat, measureChat } from './long-chat.js';
import type { LongDocuments, LongItem } from './long-documents.js';
import { type LongPrompts, measureText } from './long-text.js';
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
   * Which of its prompts are too long and will be shortened; nothing where it does not ask for that.
   * @throws ApiError (400)
   */
  measure(maker: PromptMaker): Promise<LongPrompts>;
  /** Parts that its document is read in; none where it is not read in parts. */
  parts(maker: PromptMaker, long: LongItem): Promise<number>;
  /**
   * Its prompts: one of a chat, one or more of a text completion.
   * @param shortened what is too long of it
   * @throws ApiError (400)
   */
  encode(maker: PromptMaker, shortened: Shortened): Promise<readonly EncodedRequest[]>;
}

/** What prompts are made with. */
export interface PromptMaker {
  readonly documents: DocumentReader;
  readonly encoder: PromptEncoder & TextEncoder;
  readonly long: LongDocuments;
}

/** How the prompts of a line are shortened. */
export interface Shortened {
  /** By prompt; nothing where all fit. */
  readonly tooLong: LongPrompts;
  /** Which part of the document is read, from 0, where it is read in parts. */
  readonly part?: number;
  /** What was asked of caches. */
  readonly compression: CompressionChoice | undefined;
}

const READERS: Readonly<Record<BatchEndpoint, (body: unknown) => LineRequest>> = {
  '/v1/chat/completions': (body) => {
    const request = parseChatCompletion(body);
    return {
      model: request.model,
      compression: request.compression,
      ladder: async (documents) => textLadder(await documents.messages(request)),
      async measure({ documents, encoder, long }) {
        const chat = await longChat(request, documents, encoder);
        return chat ? [await measureChat(chat, long)] : [];
      },
      async parts({ documents, encoder, long }, item) {
        const chat = await longChat(request, documents, encoder);
        return chat?.mode === 'map_reduce' ? (await long.parts(chat, item)).length : 0;
      },
      async encode({ documents, encoder, long }, { tooLong: [item], part, compression }) {
        const chat = item && (await longChat(request, documents, encoder));
        if (!chat) return [await encodeRequest(request, await documents.messages(request), encoder)];
        return [
          await (part === undefined ? encodeCut(chat, item, long) : encodePart(chat, item, long, part, compression)),
        ];
      },
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
      measure: ({ encoder, long }) => measureText(request, encoder, long),
      parts: async () => 0,
      encode: ({ encoder, long }, { tooLong }) => encodeTextRequest(request, encoder, long, tooLong),
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
