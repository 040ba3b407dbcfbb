/** A JSON schema (2020-12), as OpenAPI 3.1 has them. */
export type JsonSchema = Readonly<Record<string, unknown>>;

export const ref = (name: string): JsonSchema => ({ $ref: `#/components/schemas/${name}` });
const orNull = (schema: JsonSchema): JsonSchema => ({ oneOf: [schema, { type: 'null' }] });
/** An object with these fields and no others; those whose name ends in `?` may be missing. */
function object(fields: Readonly<Record<string, JsonSchema>>, description?: string): JsonSchema {
  const names = Object.keys(fields);
  return {
    type: 'object',
    ...(description !== undefined && { description }),
    properties: Object.fromEntries(names.map((name) => [name.replace('?', ''), fields[name]])),
    required: names.filter((name) => !name.endsWith('?')),
    additionalProperties: false,
  };
}
const arrayOf = (items: JsonSchema): JsonSchema => ({ type: 'array', items });

const TEXT: JsonSchema = { type: 'string' };
const TEXT_OR_NULL: JsonSchema = { type: ['string', 'null'] };
const COUNT: JsonSchema = { type: 'integer', minimum: 0 };
const NUMBER: JsonSchema = { type: 'number' };
const TIME: JsonSchema = { type: 'integer', description: 'Unix seconds.' };
const TIME_OR_NULL: JsonSchema = {
  type: ['integer', 'null'],
  description: 'Unix seconds; null where it has not come to that.',
};
const FINISH_REASON: JsonSchema = { type: ['string', 'null'], enum: ['stop', 'length', null] };

const listOf = (name: string): JsonSchema =>
  object({
    object: { const: 'list' },
    data: arrayOf(ref(name)),
    first_id: { ...TEXT_OR_NULL, description: 'Of the first one on this page.' },
    last_id: { ...TEXT_OR_NULL, description: 'Of the last one: `after` for the next page.' },
    has_more: { type: 'boolean' },
  });

const batch = (name: 'batch' | 'job'): JsonSchema =>
  object({
    id: TEXT,
    object: { const: name },
    endpoint: TEXT,
    model: TEXT_OR_NULL,
    errors: orNull(object({ object: { const: 'list' }, data: arrayOf(ref('BatchError')) })),
    input_file_id: TEXT,
    completion_window: TEXT,
    status: {
      enum: ['validating', 'failed', 'in_progress', 'finalizing', 'completed', 'expired', 'cancelling', 'cancelled'],
    },
    output_file_id: { ...TEXT_OR_NULL, description: 'File of the lines that were answered.' },
    error_file_id: { ...TEXT_OR_NULL, description: 'File of the lines that were not.' },
    created_at: TIME,
    in_progress_at: TIME_OR_NULL,
    expires_at: TIME_OR_NULL,
    finalizing_at: TIME_OR_NULL,
    completed_at: TIME_OR_NULL,
    failed_at: TIME_OR_NULL,
    expired_at: TIME_OR_NULL,
    cancelling_at: TIME_OR_NULL,
    cancelled_at: TIME_OR_NULL,
    request_counts: object({ total: COUNT, completed: COUNT, failed: COUNT }),
    usage: object({
      input_tokens: COUNT,
      input_tokens_details: object({ cached_tokens: COUNT }),
      output_tokens: COUNT,
      output_tokens_details: object({ reasoning_tokens: COUNT }),
      total_tokens: COUNT,
    }),
    metadata: { type: ['object', 'null'], additionalProperties: TEXT },
    compression: orNull(ref('CompressionDto')),
  });

const logprob = { token: TEXT, logprob: NUMBER, bytes: { type: ['array', 'null'], items: COUNT } };
const chatLogprobs = orNull(
  object({
    content: arrayOf(object({ ...logprob, top_logprobs: arrayOf(object(logprob)) })),
    refusal: { type: 'null' },
  }),
);
const textLogprobs = orNull(
  object({
    tokens: arrayOf(TEXT),
    token_logprobs: arrayOf(NUMBER),
    top_logprobs: arrayOf({ type: 'object', additionalProperties: NUMBER }),
    text_offset: arrayOf(COUNT),
  }),
);
const frame = { id: TEXT, created: TIME, model: TEXT, system_fingerprint: TEXT };

/** Bodies of responses, by the names that they have in the document. */
export const RESPONSE_SCHEMAS: Readonly<Record<string, JsonSchema>> = {
  Error: object(
    {
      error: object({
        message: TEXT,
        type: { enum: ['invalid_request_error', 'server_error', 'requests'] },
        param: { ...TEXT_OR_NULL, description: 'The field at fault: `messages[0].content`.' },
        code: { ...TEXT_OR_NULL, description: 'For programs: `context_length_exceeded`.' },
      }),
    },
    "OpenAI's error body.",
  ),
  File: object({
    id: TEXT,
    object: { const: 'file' },
    bytes: COUNT,
    created_at: TIME,
    'expires_at?': TIME,
    filename: TEXT,
    purpose: { enum: ['batch', 'batch_output', 'user_data'] },
    status: { const: 'processed' },
  }),
  FileList: listOf('File'),
  DeletedFile: object({ id: TEXT, object: { const: 'file' }, deleted: { const: true } }),
  BatchError: object({ code: TEXT, message: TEXT, param: TEXT_OR_NULL, line: { type: ['integer', 'null'] } }),
  Batch: batch('batch'),
  BatchList: listOf('Batch'),
  Job: batch('job'),
  JobList: listOf('Job'),
  JobRow: object(
    {
      custom_id: TEXT_OR_NULL,
      document: { ...TEXT_OR_NULL, description: 'File name of the document that was asked about.' },
      question: TEXT_OR_NULL,
      choice: COUNT,
      answer: TEXT_OR_NULL,
      finish_reason: FINISH_REASON,
      prompt_tokens: { type: ['integer', 'null'] },
      completion_tokens: { type: ['integer', 'null'] },
      error: { ...TEXT_OR_NULL, description: 'Why there is no answer.' },
      'parts?': { ...arrayOf(ref('PartAnswer')), description: 'Not in CSV.' },
    },
    'One answer, or what there is instead of one.',
  ),
  PartAnswer: object(
    { index: COUNT, tokens: COUNT, content: TEXT, finish_reason: FINISH_REASON },
    'The answer to one part of a document that was longer than the context.',
  ),
  JobItem: object(
    { object: { const: 'job.item' }, index: COUNT, custom_id: TEXT_OR_NULL, rows: arrayOf(ref('JobRow')) },
    'An item of a job that is finished.',
  ),
  KvCache: object(
    { policy: TEXT, budget: NUMBER, tokens: COUNT, entries: NUMBER, bytes: COUNT },
    'How the document was held: tokens it stands for, entries kept (mean over KV heads), bytes.',
  ),
  Usage: object({
    prompt_tokens: COUNT,
    completion_tokens: COUNT,
    total_tokens: COUNT,
    prompt_tokens_details: object({ cached_tokens: COUNT }),
    'kv_cache?': ref('KvCache'),
    'truncation?': object(
      { mode: { enum: ['middle', 'map_reduce'] }, tokens: COUNT, kept: COUNT },
      'What became of a document that did not fit the context.',
    ),
    'timing?': { type: 'object', additionalProperties: NUMBER, description: 'Seconds of each step.' },
  }),
  ChatCompletion: object({
    ...frame,
    object: { const: 'chat.completion' },
    choices: arrayOf(
      object({
        index: COUNT,
        message: object({ role: { const: 'assistant' }, content: TEXT, refusal: { type: 'null' } }),
        logprobs: chatLogprobs,
        finish_reason: FINISH_REASON,
      }),
    ),
    usage: ref('Usage'),
    'parts?': arrayOf(ref('PartAnswer')),
  }),
  ChatCompletionChunk: object({
    ...frame,
    object: { const: 'chat.completion.chunk' },
    choices: arrayOf(
      object({
        index: COUNT,
        delta: object({ 'role?': { const: 'assistant' }, 'content?': TEXT, 'refusal?': { type: 'null' } }),
        logprobs: chatLogprobs,
        finish_reason: FINISH_REASON,
      }),
    ),
    'usage?': orNull(ref('Usage')),
  }),
  Completion: object(
    {
      ...frame,
      object: { const: 'text_completion' },
      choices: arrayOf(object({ index: COUNT, text: TEXT, logprobs: textLogprobs, finish_reason: FINISH_REASON })),
      'usage?': orNull(ref('Usage')),
    },
    'Also each chunk of a streamed one.',
  ),
  Model: object({ id: TEXT, object: { const: 'model' }, created: TIME, owned_by: { const: 'longhaul' } }),
  ModelList: object({ object: { const: 'list' }, data: arrayOf(ref('Model')) }),
  Health: object({
    status: { enum: ['ok', 'unavailable'] },
    redis: { enum: ['ok', 'unavailable'] },
    'queues?': {
      type: 'object',
      additionalProperties: object({ waiting: COUNT, active: COUNT, delayed: COUNT }),
      description: 'Jobs by queue.',
    },
    'workers?': COUNT,
  }),
};
