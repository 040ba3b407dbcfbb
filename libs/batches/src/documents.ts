import { type BlobStore } from '@app/storage';
import { decodeUtf8 } from './batch-item.js';
import type { ChatCompletionRequest, ChatRole } from './chat-completion.dto.js';
import type { FileStore } from './file-record.js';
import { ApiError } from './openai-error.js';

/** A message whose documents are read and whose parts are joined. */
export interface TextMessage {
  readonly role: ChatRole;
  readonly content: string;
}

/** Between the parts of a message. */
const PART_SEPARATOR = '\n\n';
/** No vocabulary in use has a longer token: a text with more bytes than this a position cannot fit the context. */
export const MAX_BYTES_PER_TOKEN = 256;
/** Text that one planning run keeps, so that a document is read once a batch. */
const MAX_CACHED_CHARACTERS = 64 * 1024 * 1024;

/** Reads the documents of one batch, each once while they fit in memory. */
export class DocumentReader {
  private readonly texts = new Map<string, string>();
  private cached = 0;

  constructor(
    private readonly files: FileStore,
    private readonly blobs: BlobStore,
    private readonly contextLength: number,
  ) {}

  /**
   * The messages as text, parts joined in order by a blank line.
   * @throws ApiError (400) naming the part whose document cannot be read.
   */
  async messages(request: ChatCompletionRequest): Promise<TextMessage[]> {
    const messages: TextMessage[] = [];
    for (const [i, { role, content }] of request.messages.entries()) {
      const parts: string[] = [];
      for (const [j, part] of (typeof content === 'string' ? [] : content).entries()) {
        const param = `messages[${i}].content[${j}].file.file_id`;
        parts.push(part.type === 'text' ? part.text : await this.read(part.file.file_id, param));
      }
      messages.push({ role, content: typeof content === 'string' ? content : parts.join(PART_SEPARATOR) });
    }
    return messages;
  }

  private async read(fileId: string, param: string): Promise<string> {
    const known = this.texts.get(fileId);
    if (known !== undefined) {
      // Put last again: the first entry of the map is the one used longest ago.
      this.texts.delete(fileId);
      this.texts.set(fileId, known);
      return known;
    }
    const text = await this.load(fileId, param);
    this.texts.set(fileId, text);
    this.cached += text.length;
    for (const [oldest, { length }] of this.texts) {
      if (this.cached <= MAX_CACHED_CHARACTERS || oldest === fileId) break;
      this.texts.delete(oldest);
      this.cached -= length;
    }
    return text;
  }

  private async load(fileId: string, param: string): Promise<string> {
    const file = await this.files.get(fileId);
    const bytes = file && (await this.blobs.size(file.blobKey));
    if (!file || bytes === undefined) {
      throw ApiError.invalid(`No such file: '${fileId}'. Upload it with purpose 'user_data'.`, param, 'file_not_found');
    }
    if (file.purpose !== 'user_data') {
      const found = `File '${fileId}' has purpose '${file.purpose}'; a document needs 'user_data'.`;
      throw ApiError.invalid(found, param, 'invalid_file_purpose');
    }
    if (bytes === 0) throw ApiError.invalid(`File '${fileId}' is empty (0 bytes).`, param, 'empty_file');
    if (bytes > this.contextLength * MAX_BYTES_PER_TOKEN) {
      const found = `File '${fileId}' has ${bytes} bytes, more than a context of ${this.contextLength} tokens can hold.`;
      throw ApiError.invalid(found, param, 'context_length_exceeded');
    }
    const text = decodeUtf8(await this.blobs.read(file.blobKey));
    if (text === undefined) {
      throw ApiError.invalid(`File '${fileId}' is not UTF-8 text. Save it as UTF-8.`, param, 'invalid_encoding');
    }
    return text;
  }
}
