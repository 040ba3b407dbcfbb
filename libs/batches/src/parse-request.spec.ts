import { describe, expect, it } from 'vitest';
import { ApiError } from './openai-error.js';
import { parseChatCompletion, parseCompressionRequest, parseTextCompletion } from './parse-request.js';

const base = { model: 'm', messages: [{ role: 'user', content: 'Who wrote it?' }] };

const offence = (read: () => unknown): ApiError => {
  try {
    read();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('it was accepted');
};

const refused = (change: Record<string, unknown>): ApiError =>
  offence(() => parseChatCompletion({ ...base, ...change }));

describe('parseChatCompletion', () => {
  it('reads a plain request', () => {
    expect(parseChatCompletion(base)).toEqual({
      model: 'm',
      messages: [{ role: 'user', content: [{ type: 'text', text: 'Who wrote it?' }] }],
    });
  });

  it('reads every field it acts on', () => {
    const request = parseChatCompletion({
      model: 'm',
      messages: [
        { role: 'developer', content: 'Be short.' },
        {
          role: 'user',
          content: [
            { type: 'file', file: { file_id: 'file-1' } },
            { type: 'file', file: { file_data: 'eA==', filename: 'a.txt' } },
            { type: 'text', text: 'Who?' },
          ],
        },
        { role: 'assistant', content: '' },
      ],
      max_completion_tokens: 5,
      temperature: 0,
      top_p: 1,
      seed: -3,
      stop: 'x',
      logprobs: true,
      top_logprobs: 20,
      n: 1,
      stream: false,
      compression: { policy: 'kvmerger', budget: 0.35 },
      response_format: { type: 'text' },
      user: 'u',
      metadata: { a: 'b' },
      store: true,
      tools: [],
      presence_penalty: 0,
    });
    expect(request).toEqual({
      model: 'm',
      messages: [
        { role: 'developer', content: [{ type: 'text', text: 'Be short.' }] },
        {
          role: 'user',
          content: [
            { type: 'file', file: { file_id: 'file-1' } },
            { type: 'file', file: { file_data: 'eA==', filename: 'a.txt' } },
            { type: 'text', text: 'Who?' },
          ],
        },
        { role: 'assistant', content: [{ type: 'text', text: '' }] },
      ],
      max_completion_tokens: 5,
      temperature: 0,
      n: 1,
      presence_penalty: 0,
      response_format: { type: 'text' },
      top_p: 1,
      seed: -3,
      stop: ['x'],
      logprobs: true,
      top_logprobs: 20,
      compression: { policy: 'kvmerger', budget: 0.35 },
    });
  });

  it('takes null for absent, as clients send it', () => {
    expect(parseChatCompletion({ ...base, temperature: null, stop: null, tools: null, compression: null })).toEqual(
      parseChatCompletion(base),
    );
  });

  it.each([
    ['a list', []],
    ['a string', 'x'],
    ['nothing', undefined],
    ['null', null],
  ])('refuses %s for a body', (_name, body) => {
    expect(offence(() => parseChatCompletion(body))).toMatchObject({ status: 400, param: null });
  });

  it.each<[string, Record<string, unknown>, string]>([
    ['no model', { model: undefined }, 'model'],
    ['a number for model', { model: 5 }, 'model'],
    ['no messages', { messages: undefined }, 'messages'],
    ['empty messages', { messages: [] }, 'messages'],
    ['a string among messages', { messages: ['x'] }, 'messages'],
    ['an unknown role', { messages: [{ role: 'tool', content: 'x' }] }, 'messages[0].role'],
    ['no content', { messages: [{ role: 'user' }] }, 'messages[0].content'],
    ['a number for content', { messages: [{ role: 'user', content: 5 }] }, 'messages[0].content'],
    ['an object for content', { messages: [{ role: 'user', content: {} }] }, 'messages[0].content'],
    ['no parts', { messages: [{ role: 'user', content: [] }] }, 'messages[0].content'],
    ['a string for a part', { messages: [{ role: 'user', content: ['x'] }] }, 'messages[0].content'],
    [
      'an image part',
      { messages: [{ role: 'user', content: [{ type: 'image_url', image_url: { url: 'x' } }] }] },
      'messages[0].content[0]',
    ],
    [
      'a part without text',
      { messages: [{ role: 'user', content: [{ type: 'text' }] }] },
      'messages[0].content[0].text',
    ],
    [
      'a file part without file',
      { messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, { type: 'file' }] }] },
      'messages[0].content[1].file',
    ],
    [
      'a file part with id and inline data',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 'file-1', file_data: 'x' } }] }] },
      'messages[0].content[0].file.file_data',
    ],
    [
      'a file part with neither',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { filename: 'a.txt' } }] }] },
      'messages[0].content[0].file.file_id',
    ],
    [
      'empty inline data',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_data: '' } }] }] },
      'messages[0].content[0].file.file_data',
    ],
    [
      'a number for filename',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_data: 'eA==', filename: 5 } }] }] },
      'messages[0].content[0].file.filename',
    ],
    [
      'a number for file id',
      { messages: [{ role: 'user', content: [{ type: 'file', file: { file_id: 5 } }] }] },
      'messages[0].content[0].file.file_id',
    ],
    ['an unknown message field', { messages: [{ role: 'user', content: 'x', mood: 1 }] }, 'messages[0].mood'],
    ['max_tokens 0', { max_tokens: 0 }, 'max_tokens'],
    ['max_tokens -1', { max_tokens: -1 }, 'max_tokens'],
    ['max_tokens 1.5', { max_tokens: 1.5 }, 'max_tokens'],
    ['max_tokens as text', { max_tokens: '5' }, 'max_tokens'],
    ['a max_completion_tokens past all integers', { max_completion_tokens: 1e300 }, 'max_completion_tokens'],
    ['both limits', { max_tokens: 5, max_completion_tokens: 5 }, 'max_tokens'],
    ['temperature -1', { temperature: -1 }, 'temperature'],
    ['temperature 2.1', { temperature: 2.1 }, 'temperature'],
    ['temperature NaN', { temperature: Number.NaN }, 'temperature'],
    ['top_p -0.1', { top_p: -0.1 }, 'top_p'],
    ['top_p 1.1', { top_p: 1.1 }, 'top_p'],
    ['a fractional seed', { seed: 0.5 }, 'seed'],
    ['a huge seed', { seed: 2 ** 60 }, 'seed'],
    ['an empty stop string', { stop: '' }, 'stop'],
    ['an empty stop string in a list', { stop: ['a', ''] }, 'stop'],
    ['five stop strings', { stop: ['a', 'b', 'c', 'd', 'e'] }, 'stop'],
    ['a number for stop', { stop: 5 }, 'stop'],
    ['logprobs as text', { logprobs: 'yes' }, 'logprobs'],
    ['top_logprobs alone', { top_logprobs: 2 }, 'top_logprobs'],
    ['top_logprobs 21', { logprobs: true, top_logprobs: 21 }, 'top_logprobs'],
    ['n 129', { n: 129 }, 'n'],
    ['a penalty of 3', { frequency_penalty: 3 }, 'frequency_penalty'],
    ['a bias of 101', { logit_bias: { 5: 101 } }, 'logit_bias'],
    ['a bias of a word', { logit_bias: { the: 1 } }, 'logit_bias'],
    ['n 1.5', { n: 1.5 }, 'n'],
    ['stream', { stream: true }, 'stream'],
    ['an unknown format', { response_format: { type: 'xml' } }, 'response_format.type'],
    ['a format that is text', { response_format: 'json' }, 'response_format'],
    ['a format without its schema', { response_format: { type: 'json_schema' } }, 'response_format.json_schema'],
    [
      'a schema without a name',
      { response_format: { type: 'json_schema', json_schema: { schema: {} } } },
      'response_format.json_schema.name',
    ],
    [
      'a schema that cannot be',
      { response_format: { type: 'json_schema', json_schema: { name: 'a', schema: { type: 'x' } } } },
      'response_format.json_schema.schema.type',
    ],
    [
      'a schema with a format that has none',
      { response_format: { type: 'json_object', json_schema: { name: 'a', schema: {} } } },
      'response_format.json_schema',
    ],
    ['tools', { tools: [{ type: 'function' }] }, 'tools'],
    ['a penalty that is text', { presence_penalty: '1' }, 'presence_penalty'],
    ['an unknown field', { frobnicate: 1 }, 'frobnicate'],
    ['a text for compression', { compression: 'full' }, 'compression'],
    ['an unknown policy', { compression: { policy: 'zip' } }, 'compression.policy'],
    ['a number for policy', { compression: { policy: 5 } }, 'compression.policy'],
    ['budget 0', { compression: { budget: 0 } }, 'compression.budget'],
    ['budget 2', { compression: { budget: 2 } }, 'compression.budget'],
    ['budget NaN', { compression: { budget: Number.NaN } }, 'compression.budget'],
    ['budget "NaN"', { compression: { budget: 'NaN' } }, 'compression.budget'],
    ['an unknown reading', { compression: { reading: 'fast' } }, 'compression.reading'],
    ['an unknown compression field', { compression: { ratio: 2 } }, 'compression.ratio'],
  ])('refuses %s and names the field', (_name, change, param) => {
    const error = refused(change);
    expect(error.status).toBe(400);
    expect(error.type).toBe('invalid_request_error');
    expect(error.param?.startsWith(param), `${error.param}: ${error.message}`).toBe(true);
    expect(error.message).toContain(param.split(/[.[]/)[0]);
  });

  it('tells the first wrong field of the body, then unknown ones, then missing ones', () => {
    const wrong = { n: 0, top_logprobs: 99, temperature: 9, response_format: 7, messages: 'x', frobnicate: 1 };
    const left = Object.entries(wrong);
    const told: (string | null)[] = [];
    while (left.length > 0) {
      const { param } = offence(() => parseChatCompletion(Object.fromEntries(left)));
      told.push(param);
      left.splice(
        left.findIndex(([name]) => name === param),
        1,
      );
    }
    expect(told).toEqual(Object.keys(wrong));
    expect(offence(() => parseChatCompletion({})).param).toMatch(/^(model|messages)$/);
    const message = { content: 5, role: 'nobody' };
    expect(refused({ messages: [message] }).param).toBe('messages[0].content');
    expect(refused({ messages: [{ role: 'nobody', content: 5 }] }).param).toBe('messages[0].role');
    for (const [body, param] of [
      [{ top_p: 9, prompt: 7, model: 'm' }, 'top_p'],
      [{ prompt: 7, top_p: 9, model: 'm' }, 'prompt'],
    ] as const) {
      expect(offence(() => parseTextCompletion(body)).param).toBe(param);
    }
  });

  it('refuses text that is none', () => {
    expect(refused({ messages: [{ role: 'user', content: 'a\ud800' }] })).toMatchObject({
      param: 'messages[0].content',
      code: 'invalid_encoding',
    });
  });

  it('says why', () => {
    expect(refused({ compression: { policy: 'zip' } }).message).toMatch(/kvmerger.*'zip'/);
    expect(refused({ compression: { policy: 'zip' } }).message).toMatch(/[^.]\.$/);
    const image = { type: 'image_url', image_url: { url: 'https://example.org/a.png' } };
    expect(refused({ messages: [{ role: 'user', content: [{ type: 'text', text: 'a' }, image] }] })).toMatchObject({
      param: 'messages[0].content[1].type',
      message: expect.stringContaining('(images, audio) are not supported'),
    });
    expect(refused({ frobnicate: 1 }).message).toBe('Unrecognized request argument supplied: frobnicate');
    expect(refused({ messages: undefined }).code).toBe('missing_required_parameter');
  });

  it('refuses what is nested to overflow the stack', () => {
    const deep: unknown = JSON.parse('['.repeat(20_000) + ']'.repeat(20_000));
    for (const change of [{ messages: deep }, { user: deep }, { frobnicate: deep }]) {
      expect(refused(change)).toMatchObject({ status: 400, code: 'json_too_deep' });
    }
  });

  it('survives a body made to reach prototypes', () => {
    const body: unknown = JSON.parse('{"model":"m","messages":[{"role":"user","content":"x"}],"__proto__":{"n":2}}');
    expect(offence(() => parseChatCompletion(body)).param).toBe('__proto__');
    expect(({} as Record<string, unknown>)['n']).toBeUndefined();
    expect(refused({ constructor: 1 }).param).toBe('constructor');
    const message = { role: 'user', content: [{ type: 'text', text: 'x', constructor: { n: 2 } }] };
    expect(refused({ messages: [{ ...message, content: 'x', constructor: {} }] }).param).toBe(
      'messages[0].constructor',
    );
    expect(refused({ messages: [message] }).param).toBe('messages[0].content[0].constructor');
  });

  it('takes what asks for nothing', () => {
    const nothing = {
      modalities: ['text'],
      reasoning_effort: 'none',
      verbosity: 'medium',
      tool_choice: 'auto',
      tools: [],
    };
    expect(parseChatCompletion({ ...base, ...nothing, top_p: 0 })).toEqual({ ...parseChatCompletion(base), top_p: 0 });
    for (const change of [{ modalities: ['text', 'audio'] }, { reasoning_effort: 'low' }, { verbosity: 'low' }]) {
      expect(refused(change)).toMatchObject({ param: Object.keys(change)[0], code: 'unsupported_parameter' });
    }
  });

  it('takes null for absent, however deep', () => {
    const file = { file_id: null, file_data: 'eA==', filename: null };
    const messages = [{ role: 'user', name: null, content: [{ type: 'file', text: null, file }] }];
    expect(parseChatCompletion({ ...base, messages, compression: { policy: null } })).toMatchObject({
      messages: [{ role: 'user', content: [{ type: 'file', file: { file_data: 'eA==' } }] }],
      compression: {},
    });
    expect(refused({ messages: [{ role: 'user', content: null }] })).toMatchObject({
      param: 'messages[0].content',
      code: 'missing_required_parameter',
    });
  });

  it('leaves a schema as it is, whatever its properties are called', () => {
    const text = '{"type":"object","properties":{"constructor":{"type":"string"},"__proto__":{"const":1}}}';
    const schema: unknown = JSON.parse(text);
    const format = { type: 'json_schema', json_schema: { name: 'race', schema } };
    const { response_format } = parseChatCompletion({ ...base, response_format: format });
    expect(JSON.stringify(response_format)).toBe(JSON.stringify(format));
  });
});

describe('parseCompressionRequest', () => {
  it('reads what is there', () => {
    expect(parseCompressionRequest(undefined)).toBeUndefined();
    const asked = { budget: 0.5, questions: 'unseen', reading: 'merging' };
    expect(parseCompressionRequest(asked)).toEqual(asked);
    expect(offence(() => parseCompressionRequest({ budget: 2 })).param).toBe('compression.budget');
    expect(offence(() => parseCompressionRequest('full'))).toMatchObject({
      param: 'compression',
      code: 'invalid_value',
    });
  });
});
