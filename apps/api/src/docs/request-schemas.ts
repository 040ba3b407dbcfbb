import { type JsonSchema, ref } from './response-schemas.js';

const TEXT: JsonSchema = { type: 'string' };
const texts: JsonSchema = { type: 'array', items: TEXT };
const TOKENS: JsonSchema = { type: 'array', items: { type: 'integer', minimum: 0 } };
const STREAM: Readonly<Record<string, JsonSchema>> = {
  stream: { type: 'boolean', description: 'Whether the answer is sent as it grows. Not in a line of a batch.' },
  stream_options: {
    type: 'object',
    properties: { include_usage: { type: 'boolean' }, include_obfuscation: { type: 'boolean' } },
  },
  stop: { oneOf: [TEXT, { ...texts, maxItems: 4 }], description: 'What ends an answer, up to 4.' },
  truncation: {
    enum: ['error', 'middle', 'map_reduce'],
    description: 'What becomes of a document that does not fit the context.',
  },
};

/** Fields of requests that their classes cannot tell: what may be of several types, and what is read before validation. */
export const REQUEST_FIELDS: Readonly<Record<string, Readonly<Record<string, JsonSchema>>>> = {
  CreateBatchDto: {
    compression: { ...ref('CompressionDto'), description: 'For all lines that do not say their own.' },
  },
  CreateJobDto: {
    documents: {
      type: 'array',
      minItems: 1,
      items: {
        oneOf: [
          { ...TEXT, description: 'Id of a file.' },
          {
            type: 'object',
            properties: {
              id: { ...TEXT, description: 'First part of the `custom_id` of its items.' },
              file_id: TEXT,
              text: TEXT,
              file_data: { ...TEXT, description: 'Base64, plain or as a data URL.' },
              filename: TEXT,
            },
            additionalProperties: false,
          },
        ],
      },
    },
    questions: {
      type: 'array',
      minItems: 1,
      items: {
        oneOf: [
          TEXT,
          { type: 'object', properties: { id: TEXT, text: TEXT }, required: ['text'], additionalProperties: false },
        ],
      },
    },
    pairs: {
      type: ['array', 'null'],
      items: { type: 'array', items: { type: 'integer', minimum: 0 }, minItems: 2, maxItems: 2 },
      description: '`[document, question]`, positions in the two lists; without it every question of every document.',
    },
    compression: { ...ref('CompressionDto') },
  },
  ChatMessageDto: { content: { oneOf: [TEXT, { type: 'array', items: ref('ContentPartDto'), minItems: 1 }] } },
  ChatCompletionDto: STREAM,
  TextCompletionDto: {
    ...STREAM,
    truncation: { enum: ['error', 'middle'], description: 'What becomes of a prompt that does not fit the context.' },
    prompt: {
      oneOf: [TEXT, texts, TOKENS, { type: 'array', items: TOKENS }],
      description: 'Text or token ids, one prompt or at most 128.',
    },
  },
};

/** Numbers that have to be whole, which TypeScript cannot tell; of completions also `logprobs`. */
export const INTEGERS: readonly string[] = [
  'best_of',
  'logprobs',
  'max_completion_tokens',
  'max_tokens',
  'n',
  'seconds',
  'seed',
  'top_logprobs',
];

/** Fields that may be left out although their classes have a value for them. */
export const OPTIONAL: Readonly<Record<string, readonly string[]>> = {
  CreateJobDto: ['completion_window'],
};
/** Fields that have to be there although their classes cannot tell. */
export const REQUIRED: Readonly<Record<string, readonly string[]>> = {
  CreateJobDto: ['documents', 'questions'],
};
