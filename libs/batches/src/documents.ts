import { createHash } from 'node:crypto';
import { buffer } from 'node:stream/consumers';
import {
  assertSize,
  DocumentError,
  type DocumentKind,
  documentKind,
  EXTRACTION_LIMITS,
  type ExtractionLimits,
  extractText,
  HEAD_BYTES,
} from '@app/document-text';
import { BlobNotFoundError, type BlobStore } from '@app/storage';
import { decodeUtf8 } from './batch-item.js';
import type { ChatCompletionRequest, ChatRole, DocumentReference } from './chat-completion.dto.js';
import { extractedTextKey, findExtractedText, keepExtractedText } from './extracted-texts.js';
import type { FileRecord, FileStore } from './file-record.js';
import { ApiError } from './openai-error.js';
import { RecentTexts } from './recent-texts.js';
import { shorteningOf } from './truncation.js';

/** A message whose documents are read and whose parts are joined. */
export interface TextMessage {
  readonly role: ChatRole;
  readonly content: string;
}

/** A message whose documents are read. */
export interface PartedMessage {
  readonly role: ChatRole;
  /** At least one. */
  readonly parts: readonly { readonly text: string; readonly isFile: boolean }[];
}

export interface DocumentReaderOptions {
  /** Positions of the model. */
  readonly contextLength: number;
  /** The batch that keeps the documents it uses from being deleted; absent: nobody does. */
  readonly batchId?: string;
  /** What reading one document may take. */
  readonly extraction?: ExtractionLimits;
  /** Aborted: gives up the document that is being read. */
  readonly signal?: AbortSignal | undefined;
}

/** Between the parts of a message. */
export const PART_SEPARATOR = '\n\n';
/** No vocabulary in use has a longer token: a text with more bytes than this a position cannot fit the context. */
export const MAX_BYTES_PER_TOKEN = 256;
/** Longest text of a document that may be longer than the context: some million tokens. */
const MAX_LONG_BYTES = 16 * 1024 * 1024;
/** Text that one planning run keeps, so that a document is read once a batch. */
const MAX_CACHED_CHARACTERS = 64 * 1024 * 1024;
/** RFC 2397. */
const DATA_URL = /^data:[^,]{0,200};base64,/i;
const BASE64 = /^[A-Za-z0-9+/]*={0,2}$/;

/** Longest text that is taken. */
interface TextLimit {
  readonly bytes: number;
  /** Ends a sentence that begins with the bytes. */
  readonly reason: string;
}

/** A document that cannot be used. Which part of the request it is, only the caller knows. */
class DocumentProblem extends Error {
  override readonly name = 'DocumentProblem';
  constructor(
    readonly code: string,
    message: string,
    /** The field of the part that names or holds the document. */
    readonly field: 'file_id' | 'file_data',
  ) {
    super(message);
  }
}

/** Reads the documents of one batch, each once while they fit in memory. */
export class DocumentReader {
  private readonly texts = new RecentTexts(MAX_CACHED_CHARACTERS);
  /** Reading such a document again for the next item may take as long, to no avail. */
  private readonly problems = new Map<string, DocumentProblem>();
  private readonly limits: ExtractionLimits;

  constructor(
    private readonly files: FileStore,
    private readonly blobs: BlobStore,
    private readonly options: DocumentReaderOptions,
  ) {
    this.limits = options.extraction ?? EXTRACTION_LIMITS;
  }

  /**
   * The messages as text, parts joined in order by a blank line.
   * @throws ApiError (400) naming the part whose document cannot be read.
   */
  async messages(request: ChatCompletionRequest): Promise<TextMessage[]> {
    const messages = await this.parted(request);
    return messages.map(({ role, parts }) => ({ role, content: parts.map(({ text }) => text).join(PART_SEPARATOR) }));
  }

  /**
   * The messages as the texts of their parts. Documents may be longer than the context where the request says what is
   * to become of them.
   * @throws ApiError (400) naming the part whose document cannot be read.
   */
  async parted(request: ChatCompletionRequest): Promise<PartedMessage[]> {
    const limit = this.longestText(shorteningOf(request) !== undefined);
    const messages: PartedMessage[] = [];
    for (const [i, { role, content }] of request.messages.entries()) {
      const parts: { text: string; isFile: boolean }[] = [];
      for (const [j, part] of (typeof content === 'string' ? [] : content).entries()) {
        const param = `messages[${i}].content[${j}].file`;
        const isFile = part.type === 'file';
        parts.push({ text: isFile ? await this.read(part.file, param, limit) : part.text, isFile });
      }
      messages.push({ role, parts: typeof content === 'string' ? [{ text: content, isFile: false }] : parts });
    }
    return messages;
  }

  private async read(document: DocumentReference, param: string, limit: TextLimit): Promise<string> {
    try {
      return document.file_data === undefined
        ? await this.uploaded(document.file_id, limit)
        : await this.inline(document.file_data, limit, document.filename);
    } catch (error) {
      if (!(error instanceof DocumentProblem)) throw error;
      throw ApiError.invalid(error.message, `${param}.${error.field}`, error.code);
    }
  }

  private uploaded(id: string, limit: TextLimit): Promise<string> {
    return this.once(`${limit.bytes} ${id}`, async () => {
      const { batchId } = this.options;
      const file = await (batchId === undefined ? this.files.get(id) : this.files.hold(id, batchId));
      if (!file) throw noSuchFile(id);
      if (file.purpose !== 'user_data') {
        const found = `File '${id}' has purpose '${file.purpose}'; a document needs 'user_data'.`;
        throw new DocumentProblem('invalid_file_purpose', found, 'file_id');
      }
      try {
        return await this.explained('file_id', `File '${id}' (${file.filename})`, limit, () =>
          this.textOf(file, limit),
        );
      } catch (error) {
        throw error instanceof BlobNotFoundError ? noSuchFile(id) : error;
      }
    });
  }

  private async inline(data: string, limit: TextLimit, filename = ''): Promise<string> {
    const base64 = data.replace(DATA_URL, '');
    if (!BASE64.test(base64)) {
      const expected = 'file_data must be base64, plain or as a data URL (data:application/pdf;base64,...).';
      throw new DocumentProblem('invalid_base64', expected, 'file_data');
    }
    const bytes = Buffer.from(base64, 'base64');
    const key = `${limit.bytes} ${createHash('sha256').update(bytes).digest('hex')} ${filename}`;
    const what = filename === '' ? 'file_data' : `file_data (${filename})`;
    return this.once(key, () =>
      this.explained('file_data', what, limit, async () => {
        const kind = documentKind(bytes.subarray(0, HEAD_BYTES), filename);
        return kind === 'text' ? plainText(bytes) : this.extracted(kind, bytes);
      }),
    );
  }

  /** Extracted once for as long as the file, or another with the same content, is there. */
  private async textOf(file: FileRecord, limit: TextLimit): Promise<string> {
    const head = await buffer(await this.blobs.open(file.blobKey, { start: 0, end: HEAD_BYTES - 1 }));
    const kind = documentKind(head, file.filename);
    if (kind === 'text') {
      assertMayFit(file.bytes, limit);
      return plainText(await this.blobs.read(file.blobKey));
    }
    const kept = await findExtractedText(this.blobs, file.sha256);
    if (kept !== undefined) return kept;
    assertSize(file.bytes, this.limits);
    const text = await this.extracted(kind, await this.blobs.read(file.blobKey));
    await keepExtractedText(this.blobs, file.sha256, text);
    // Deleted meanwhile: then nobody else would delete its text.
    if (!(await this.files.get(file.id))) await this.blobs.delete(extractedTextKey(file.sha256));
    return text;
  }

  private extracted(kind: Exclude<DocumentKind, 'text'>, bytes: Uint8Array): Promise<string> {
    return extractText(kind, bytes, this.limits, this.options.signal);
  }

  /** What `read` gives where it can be used, else the problem in words that begin with `what`. */
  private async explained(
    field: DocumentProblem['field'],
    what: string,
    limit: TextLimit,
    read: () => Promise<string>,
  ): Promise<string> {
    try {
      const text = await read();
      assertMayFit(Buffer.byteLength(text), limit);
      return text;
    } catch (error) {
      if (error instanceof DocumentError || error instanceof TextTooLongError) {
        throw new DocumentProblem(error.code, `${what}: ${error.message}`, field);
      }
      throw error;
    }
  }

  /** @param mayBeLong whether documents that do not fit the context are made to */
  private longestText(mayBeLong: boolean): TextLimit {
    const { contextLength } = this.options;
    const bytes = contextLength * MAX_BYTES_PER_TOKEN;
    return mayBeLong
      ? { bytes: Math.max(bytes, MAX_LONG_BYTES), reason: 'that can be read of a document' }
      : { bytes, reason: `that a context of ${contextLength} tokens can hold` };
  }

  private async once(key: string, read: () => Promise<string>): Promise<string> {
    const known = this.texts.get(key);
    if (known !== undefined) return known;
    const problem = this.problems.get(key);
    if (problem) throw problem;
    try {
      const text = await read();
      this.texts.set(key, text);
      return text;
    } catch (error) {
      if (error instanceof DocumentProblem) this.problems.set(key, error);
      throw error;
    }
  }
}

class TextTooLongError extends Error {
  readonly code = 'context_length_exceeded';
  constructor(bytes: number, limit: TextLimit) {
    super(`The document has ${bytes} bytes of text, more than the ${limit.bytes} ${limit.reason}.`);
  }
}

/** Throws where a text is certain to be too long, so that nobody reads or encodes it for nothing. */
function assertMayFit(bytes: number, limit: TextLimit): void {
  if (bytes > limit.bytes) throw new TextTooLongError(bytes, limit);
}

const noSuchFile = (id: string): DocumentProblem =>
  new DocumentProblem('file_not_found', `No such file: '${id}'. Upload it with purpose 'user_data'.`, 'file_id');

function plainText(bytes: Uint8Array): string {
  if (bytes.byteLength === 0) throw new DocumentError('empty_file', 'The document is empty (0 bytes).');
  const text = decodeUtf8(bytes);
  if (text === undefined) {
    throw new DocumentError('invalid_encoding', 'The document is not UTF-8 text. Save it as UTF-8.');
  }
  return text;
}
