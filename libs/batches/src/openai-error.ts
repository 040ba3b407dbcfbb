import { MAX_JSON_DEPTH } from './json-depth.js';

/** Error kinds the official OpenAI clients know. */
export type OpenAiErrorType = 'invalid_request_error' | 'server_error' | 'requests';

/** Body of every error response, and of the `response.body` of an item that failed. */
export interface OpenAiErrorBody {
  readonly error: {
    readonly message: string;
    readonly type: OpenAiErrorType;
    /** The request field at fault, dotted (`messages.0.content`), or null. */
    readonly param: string | null;
    /** Machine-readable reason, or null. */
    readonly code: string | null;
  };
}

/** An error the caller of the API is meant to see: HTTP status and OpenAI's error fields. */
export class ApiError extends Error {
  override readonly name = 'ApiError';

  constructor(
    readonly status: number,
    readonly type: OpenAiErrorType,
    message: string,
    readonly param: string | null = null,
    readonly code: string | null = null,
  ) {
    super(message);
  }

  /** 400: the request itself is wrong. */
  static invalid(message: string, param: string | null = null, code: string | null = null): ApiError {
    return new ApiError(400, 'invalid_request_error', message, param, code);
  }

  /** 400: a field that has to be there is not. */
  static missing(param: string): ApiError {
    return ApiError.invalid(`Missing required parameter: '${param}'.`, param, 'missing_required_parameter');
  }

  /** 400: JSON that nobody means. */
  static tooDeep(): ApiError {
    const message = `The JSON is nested more than ${MAX_JSON_DEPTH} levels deep. Send a plain request.`;
    return ApiError.invalid(message, null, 'json_too_deep');
  }

  /** 400: a text that no text is. */
  static brokenText(param: string): ApiError {
    const found = `Invalid '${param}': must be Unicode text, it has half of a character (a lone surrogate).`;
    return ApiError.invalid(found, param, 'invalid_encoding');
  }

  /** 401: nobody knows who asks. */
  static noValidKey(message: string): ApiError {
    return new ApiError(401, 'invalid_request_error', message, null, 'invalid_api_key');
  }

  /** 404: what the request names does not exist. */
  static notFound(message: string, param: string | null = null, code: string | null = null): ApiError {
    return new ApiError(404, 'invalid_request_error', message, param, code);
  }

  /** 404 as OpenAI words it for a file. */
  static noSuchFile(id: string, param = 'id'): ApiError {
    return ApiError.notFound(`No such File object: ${id}`, param);
  }

  /** 404 as OpenAI words it for a model that is not served. */
  static modelNotFound(model: string): ApiError {
    return ApiError.notFound(
      `The model '${model}' does not exist or you do not have access to it.`,
      'model',
      'model_not_found',
    );
  }

  /** 5xx: the request was fine, the service could not answer it. */
  static server(status: number, message: string, code: string | null = null): ApiError {
    return new ApiError(status, 'server_error', message, null, code);
  }

  /** The error as a response body. */
  toBody(): OpenAiErrorBody {
    return { error: { message: this.message, type: this.type, param: this.param, code: this.code } };
  }
}
