import { type JsonSchema, ref } from './response-schemas.js';

/** What a route answers, and an example of what it is asked. */
export interface DocumentedRoute {
  /** The name that generated clients give it: OpenAI's, where they have the route. */
  readonly id: string;
  /** By content type; several of one type are alternatives. */
  readonly answers: Readonly<Record<string, JsonSchema>>;
  readonly description: string;
  /** Statuses of refusals that are its own; every route may answer 500 and 503, those of `/v1` 401 and 429. */
  readonly refusals: readonly number[];
  readonly request?: unknown;
  readonly response?: unknown;
  /** Another status with which it answers the same, and why. */
  readonly also?: { readonly status: number; readonly description: string };
}

const json = (name: string): Record<string, JsonSchema> => ({ 'application/json': ref(name) });
const chunks = (name: string, what: string): Record<string, JsonSchema> => ({
  'text/event-stream': {
    ...ref(name),
    description: `With "stream": true: each line of \`data\` is ${what}, the last one \`[DONE]\`.`,
  },
});

const MODEL = 'smollm2-135m-instruct';
const CREATED = 1_763_000_000;
const FILE = {
  id: 'file-2f0c',
  object: 'file',
  bytes: 51_204,
  created_at: CREATED,
  filename: 'lease.pdf',
  purpose: 'user_data',
  status: 'processed',
};
const BATCH = {
  id: 'batch_91ab',
  object: 'batch',
  endpoint: '/v1/chat/completions',
  model: MODEL,
  errors: null,
  input_file_id: 'file-77de',
  completion_window: '24h',
  status: 'in_progress',
  output_file_id: null,
  error_file_id: null,
  created_at: CREATED,
  in_progress_at: CREATED + 2,
  expires_at: CREATED + 86_400,
  finalizing_at: null,
  completed_at: null,
  failed_at: null,
  expired_at: null,
  cancelling_at: null,
  cancelled_at: null,
  request_counts: { total: 12, completed: 6, failed: 0 },
  usage: {
    input_tokens: 48_120,
    input_tokens_details: { cached_tokens: 40_010 },
    output_tokens: 96,
    output_tokens_details: { reasoning_tokens: 0 },
    total_tokens: 48_216,
  },
  metadata: { name: 'leases' },
  compression: { policy: 'calibrated-merge', budget: 0.35 },
};
const JOB = { ...BATCH, object: 'job' };
const USAGE = {
  prompt_tokens: 2680,
  completion_tokens: 7,
  total_tokens: 2687,
  prompt_tokens_details: { cached_tokens: 2665 },
};
const ROW = {
  custom_id: 'lease.pdf#1',
  document: 'lease.pdf',
  question: 'Who is the tenant?',
  choice: 0,
  answer: 'Ann Lee',
  finish_reason: 'stop',
  prompt_tokens: 2680,
  completion_tokens: 3,
  error: null,
};
const list = (entry: { readonly id: string }): object => ({
  object: 'list',
  data: [entry],
  first_id: entry.id,
  last_id: entry.id,
  has_more: false,
});
const answer = (object: string, choice: object): object => ({
  id: object === 'chat.completion' ? 'chatcmpl-4c1d' : 'cmpl-4c1d',
  object,
  created: CREATED,
  model: MODEL,
  system_fingerprint: 'fp_5a1c',
  choices: [{ index: 0, ...choice, logprobs: null, finish_reason: 'stop' }],
  usage: USAGE,
});

const BODY = [400, 413, 415];
const POST_BODY = [...BODY, 409, 422];

/** Every route of the service. */
export const ROUTES: Readonly<Record<string, DocumentedRoute>> = {
  'post /v1/files': {
    id: 'createFile',
    answers: json('File'),
    description: 'The file as it is kept.',
    refusals: POST_BODY,
    response: FILE,
  },
  'get /v1/files': {
    id: 'listFiles',
    answers: json('FileList'),
    description: 'A page of files.',
    refusals: [400],
    response: list(FILE),
  },
  'get /v1/files/{id}': {
    id: 'retrieveFile',
    answers: json('File'),
    description: 'The file.',
    refusals: [404],
    response: FILE,
  },
  'delete /v1/files/{id}': {
    id: 'deleteFile',
    answers: json('DeletedFile'),
    description: 'It is gone.',
    refusals: [404, 409],
    response: { id: FILE.id, object: 'file', deleted: true },
  },
  'get /v1/files/{id}/content': {
    id: 'downloadFile',
    answers: { 'application/octet-stream': { type: 'string', format: 'binary' } },
    description: 'Its bytes, as a download.',
    refusals: [404, 416],
    also: { status: 206, description: 'The part that `Range` asks for.' },
  },
  'post /v1/batches': {
    id: 'createBatch',
    answers: json('Batch'),
    description: 'The batch, which is planned next.',
    refusals: [...POST_BODY, 404],
    request: {
      input_file_id: 'file-77de',
      endpoint: '/v1/chat/completions',
      completion_window: '24h',
      metadata: { name: 'leases' },
    },
    response: { ...BATCH, status: 'validating' },
  },
  'get /v1/batches': {
    id: 'listBatches',
    answers: json('BatchList'),
    description: 'A page of batches.',
    refusals: [400],
    response: list(BATCH),
  },
  'get /v1/batches/{id}': {
    id: 'retrieveBatch',
    answers: json('Batch'),
    description: 'The batch.',
    refusals: [404],
    response: BATCH,
  },
  'post /v1/batches/{id}/cancel': {
    id: 'cancelBatch',
    answers: json('Batch'),
    description: 'The batch, which is ending.',
    refusals: [400, 404, 409],
    response: { ...BATCH, status: 'cancelling', cancelling_at: CREATED + 60 },
  },
  'post /v1/jobs': {
    id: 'createJob',
    answers: json('Job'),
    description: 'The job, which is planned next.',
    refusals: [...POST_BODY, 404],
    request: {
      documents: ['file-2f0c', { id: 'note', text: 'The lease ends in May.' }],
      questions: ['Who is the tenant?', { id: 'end', text: 'When does it end?' }],
      options: { temperature: 0, max_completion_tokens: 48 },
    },
    response: { ...JOB, status: 'validating' },
  },
  'get /v1/jobs': {
    id: 'listJobs',
    answers: json('JobList'),
    description: 'A page of jobs and batches.',
    refusals: [400],
    response: list(JOB),
  },
  'get /v1/jobs/{id}': {
    id: 'retrieveJob',
    answers: json('Job'),
    description: 'The job.',
    refusals: [404],
    response: JOB,
  },
  'post /v1/jobs/{id}/cancel': {
    id: 'cancelJob',
    answers: json('Job'),
    description: 'The job, which is ending.',
    refusals: [400, 404, 409],
    response: { ...JOB, status: 'cancelling', cancelling_at: CREATED + 60 },
  },
  'get /v1/jobs/{id}/events': {
    id: 'streamJobEvents',
    answers: {
      'text/event-stream': {
        oneOf: [ref('Job'), ref('JobItem')],
        description: 'Each line of `data`: the job, its items as they finish, the job as it ended, `[DONE]`.',
      },
    },
    description: 'What comes of the job, as it comes.',
    refusals: [404],
    response: { object: 'job.item', index: 0, custom_id: ROW.custom_id, rows: [ROW] },
  },
  'get /v1/jobs/{id}/results': {
    id: 'downloadJobResults',
    answers: {
      'application/jsonl': { ...ref('JobRow'), description: 'Each line.' },
      'application/json': { type: 'array', items: ref('JobRow') },
      'text/csv': { type: 'string', description: 'RFC 4180, the fields of a JobRow in the first line.' },
    },
    description: 'What is finished so far.',
    refusals: [400, 404],
  },
  'post /v1/chat/completions': {
    id: 'createChatCompletion',
    answers: { ...json('ChatCompletion'), ...chunks('ChatCompletionChunk', 'a chunk') },
    description: 'The answer.',
    refusals: [...POST_BODY, 404, 504],
    request: {
      model: MODEL,
      messages: [
        {
          role: 'user',
          content: [
            { type: 'file', file: { file_id: 'file-2f0c' } },
            { type: 'text', text: 'Who is the tenant?' },
          ],
        },
      ],
      temperature: 0,
      max_completion_tokens: 48,
    },
    response: answer('chat.completion', { message: { role: 'assistant', content: 'Ann Lee.', refusal: null } }),
  },
  'post /v1/completions': {
    id: 'createCompletion',
    answers: { ...json('Completion'), ...chunks('Completion', 'a part of it') },
    description: 'How the text goes on.',
    refusals: [...POST_BODY, 404, 504],
    request: { model: MODEL, prompt: 'The capital of France is', max_tokens: 8 },
    response: answer('text_completion', { text: ' Paris.' }),
  },
  'get /v1/models': {
    id: 'listModels',
    answers: json('ModelList'),
    description: 'The one that is served.',
    refusals: [],
    response: { object: 'list', data: [{ id: MODEL, object: 'model', created: CREATED, owned_by: 'longhaul' }] },
  },
  'get /v1/models/{id}': {
    id: 'retrieveModel',
    answers: json('Model'),
    description: 'The model.',
    refusals: [404],
    response: { id: MODEL, object: 'model', created: CREATED, owned_by: 'longhaul' },
  },
  'get /health': {
    id: 'getHealth',
    answers: json('Health'),
    description: 'All is there.',
    refusals: [],
    also: { status: 503, description: 'Redis is away.' },
    response: { status: 'ok', redis: 'ok', queues: { groups: { waiting: 3, active: 2, delayed: 0 } }, workers: 1 },
  },
};

/** What a status of a refusal says. */
export const REFUSALS: Readonly<Record<number, string>> = {
  400: 'The request is wrong; `param` names the field.',
  401: 'It has no valid key, and there are keys.',
  404: 'What it names is not there.',
  409: 'In use, ended already, or a request with this `Idempotency-Key` is being answered.',
  413: 'The body or the file is too large.',
  415: 'The encoding of the body is none that is read.',
  416: 'The file has no such bytes.',
  422: 'This `Idempotency-Key` belongs to another request.',
  429: 'Too many requests a minute; `retry-after` says when to try again.',
  500: 'The service failed.',
  503: 'Redis or the disk is away, or the service is being stopped.',
  504: 'Nobody answered in time.',
};
