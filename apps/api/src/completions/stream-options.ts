import { ApiError } from '@app/batches';

/** How an answer is wanted as it grows. */
export interface StreamOptions {
  /** Whether a last chunk tells the usage. */
  readonly includeUsage: boolean;
}

/** A request's body without `stream` and `stream_options`, and what these say; `stream` is undefined where it is false. */
export interface SplitBody {
  readonly body: object;
  readonly stream: StreamOptions | undefined;
}

/** Fields of OpenAI's `stream_options`. We add no obfuscation, asked or not. */
const OPTIONS = ['include_usage', 'include_obfuscation'];

/** @throws ApiError (400) */
export function splitStreamOptions(request: object): SplitBody {
  const { stream, stream_options: options, ...body } = request as { stream?: unknown; stream_options?: unknown };
  if (stream !== undefined && stream !== null && typeof stream !== 'boolean') {
    throw ApiError.invalid("Invalid 'stream': must be true or false.", 'stream', 'invalid_value');
  }
  if (options === undefined || options === null) return { body, stream: stream ? { includeUsage: false } : undefined };
  if (!stream) {
    const found = "The 'stream_options' parameter is only allowed when 'stream' is true.";
    throw ApiError.invalid(found, 'stream_options', 'invalid_value');
  }
  if (typeof options !== 'object' || Array.isArray(options)) {
    const found = 'Invalid \'stream_options\': must be an object {"include_usage": true}.';
    throw ApiError.invalid(found, 'stream_options', 'invalid_value');
  }
  for (const [name, value] of Object.entries(options)) {
    const param = `stream_options.${name}`;
    if (!OPTIONS.includes(name)) {
      throw ApiError.invalid(`Unrecognized request argument supplied: ${param}`, param, 'unknown_parameter');
    }
    if (typeof value !== 'boolean') {
      throw ApiError.invalid(`Invalid '${param}': must be true or false.`, param, 'invalid_value');
    }
  }
  return { body, stream: { includeUsage: (options as { include_usage?: boolean }).include_usage === true } };
}
