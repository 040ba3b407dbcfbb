import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { CliError, EXIT } from './cli-error.js';
import { LONGHAUL } from './command-name.js';

/** What the commands read of OpenAI's Batch object. */
export interface Batch {
  readonly id: string;
  readonly status: string;
  readonly model: string | null;
  readonly created_at: number;
  readonly input_file_id: string;
  readonly output_file_id: string | null;
  readonly error_file_id: string | null;
  readonly errors: { readonly data: readonly { readonly message: string; readonly line?: number | null }[] } | null;
  readonly request_counts: { readonly total: number; readonly completed: number; readonly failed: number };
  readonly usage: { readonly input_tokens: number; readonly output_tokens: number };
  readonly metadata: Readonly<Record<string, string>> | null;
}

/** What the commands read of OpenAI's File object. */
export interface StoredFile {
  readonly id: string;
  readonly filename: string;
  readonly bytes: number;
  readonly purpose: string;
  readonly created_at: number;
}

/** One row of a job's results: an answer, or why there is none. */
export interface ResultRow {
  readonly custom_id: string | null;
  readonly document: string | null;
  readonly question: string | null;
  readonly answer: string | null;
  /** `length`: cut where the longest answer ends. */
  readonly finish_reason: string | null;
  readonly error: string | null;
}

export interface Model {
  readonly id: string;
  readonly created: number;
  readonly owned_by: string;
}

/** What the commands read of the service's health. */
interface Health {
  readonly workers?: number;
}

/** One page of a list. */
export interface Page<T> {
  readonly data: readonly T[];
  readonly has_more: boolean;
}

/** The service answered with an error; its own message. */
export class ServiceError extends CliError {
  override readonly name = 'ServiceError';
}

/** Nobody answers at the address, or the connection broke. */
export class UnreachableError extends CliError {
  override readonly name = 'UnreachableError';

  constructor(url: string, cause: unknown) {
    const detail = (cause as { cause?: { code?: string; message?: string } }).cause;
    super(
      `Cannot reach Longhaul at ${url} (${detail?.code ?? detail?.message ?? String(cause)}). ` +
        `Start it with '${LONGHAUL} up', or name another address with --url or LONGHAUL_URL.`,
      EXIT.unreachable,
      'unreachable',
    );
  }
}

/** What stands before the service, or the service of itself, says that it cannot be reached right now. */
const AWAY = [502, 503, 504];
const BUSY = [429, ...AWAY];
const ATTEMPTS = 4;
const FIRST_DELAY_MS = 500;
const LONGEST_DELAY_MS = 30_000;

/**
 * The calls of the HTTP API that the commands make. Repeats what a busy service refuses; a repeated POST carries the same
 * Idempotency-Key, so that it counts once. Every call rejects with ServiceError or UnreachableError.
 */
export class LonghaulClient {
  /**
   * @param url without `/v1`
   * @param key of the API; undefined: none is sent
   * @param signal ends every call but `deleteFile`, which tidies up
   */
  constructor(
    readonly url: string,
    private readonly key: string | undefined,
    private readonly signal: AbortSignal,
  ) {}

  async models(): Promise<readonly Model[]> {
    return (await this.json<Page<Model>>('GET', '/models')).data;
  }

  /** How many workers are connected; undefined where nobody can tell. */
  async workers(): Promise<number | undefined> {
    try {
      const { workers } = (await (await fetch(`${this.url}/health`, { signal: this.signal })).json()) as Health;
      return workers;
    } catch {
      this.signal.throwIfAborted();
      return undefined;
    }
  }

  upload(name: string, content: Blob, purpose: 'batch' | 'user_data'): Promise<StoredFile> {
    const form = new FormData();
    form.set('purpose', purpose);
    form.set('file', content, name);
    return this.json('POST', '/files', form);
  }

  file(id: string): Promise<StoredFile> {
    return this.json('GET', `/files/${encodeURIComponent(id)}`);
  }

  files(limit: number): Promise<Page<StoredFile>> {
    return this.json('GET', `/files?limit=${limit}`);
  }

  /** The bytes of a file as they arrive. */
  content(id: string): AsyncGenerator<Uint8Array> {
    return this.bytes(`/files/${encodeURIComponent(id)}/content`);
  }

  /** The rows of a batch that are finished, as bytes of that format. */
  results(batchId: string, format: 'jsonl' | 'json' | 'csv'): AsyncGenerator<Uint8Array> {
    return this.bytes(`/jobs/${encodeURIComponent(batchId)}/results?format=${format}`);
  }

  async deleteFile(id: string): Promise<void> {
    const headers = this.authorization();
    await fetch(`${this.url}/v1/files/${encodeURIComponent(id)}`, { method: 'DELETE', headers });
  }

  createBatch(inputFileId: string, endpoint: string, options: object): Promise<Batch> {
    const body = { input_file_id: inputFileId, endpoint, ...options };
    return this.json('POST', '/batches', JSON.stringify(body));
  }

  /** A batch of questions about documents. */
  createJob(job: object): Promise<Batch> {
    return this.json('POST', '/jobs', JSON.stringify(job));
  }

  batch(id: string): Promise<Batch> {
    return this.json('GET', `/batches/${encodeURIComponent(id)}`);
  }

  /** Newest first. */
  batches(limit: number): Promise<Page<Batch>> {
    return this.json('GET', `/batches?limit=${limit}`);
  }

  cancelBatch(id: string): Promise<Batch> {
    return this.json('POST', `/batches/${encodeURIComponent(id)}/cancel`);
  }

  private async json<T>(method: string, path: string, body?: FormData | string): Promise<T> {
    const response = await this.call(method, path, body);
    try {
      return (await response.json()) as T;
    } catch (error) {
      this.signal.throwIfAborted();
      if (!(error instanceof SyntaxError)) throw new UnreachableError(this.url, error);
      throw new ServiceError(`${this.url} answers, but not as Longhaul does: ${method} /v1${path} gave no JSON.`);
    }
  }

  private async call(method: string, path: string, body?: FormData | string): Promise<Response> {
    const headers = this.authorization();
    if (typeof body === 'string') headers['content-type'] = 'application/json';
    if (method === 'POST') headers['idempotency-key'] = randomUUID();
    for (let attempt = 1; ; attempt++) {
      const response = await this.send(path, { method, headers, ...(body !== undefined && { body }) });
      if (response.ok) return response;
      const text = await response.text().catch(() => '');
      if (attempt === ATTEMPTS || !BUSY.includes(response.status)) throw refusal(response.status, text);
      const asked = Number(response.headers.get('retry-after')) * 1000;
      const wait = Math.min(asked || FIRST_DELAY_MS * 2 ** (attempt - 1), LONGEST_DELAY_MS);
      await delay(wait, undefined, { signal: this.signal });
    }
  }

  private authorization(): Record<string, string> {
    return this.key === undefined ? {} : { authorization: `Bearer ${this.key}` };
  }

  private async send(path: string, init: RequestInit): Promise<Response> {
    try {
      return await fetch(`${this.url}/v1${path}`, { ...init, signal: this.signal });
    } catch (error) {
      this.signal.throwIfAborted();
      throw new UnreachableError(this.url, error);
    }
  }

  private async *bytes(path: string): AsyncGenerator<Uint8Array> {
    const { body } = await this.call('GET', path);
    try {
      yield* body as unknown as AsyncIterable<Uint8Array>;
    } catch (error) {
      this.signal.throwIfAborted();
      throw new UnreachableError(this.url, error);
    }
  }
}

function refusal(status: number, text: string): ServiceError {
  const exitCode = AWAY.includes(status) ? EXIT.unreachable : EXIT.failed;
  try {
    const { error } = JSON.parse(text) as { error: { message: string; code: string | null } };
    const hint = error.code === 'invalid_api_key' ? ' This command sends the one in LONGHAUL_API_KEY.' : '';
    return new ServiceError(`${error.message}${hint}`, exitCode, error.code);
  } catch {
    return new ServiceError(`The service answered with status ${status} and no error that could be read.`, exitCode);
  }
}
