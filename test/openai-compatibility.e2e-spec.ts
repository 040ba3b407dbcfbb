import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { KEYWORDS } from '@app/json-grammar';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endOfBatch, fileLines, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { declaredMembers } from './openai-declarations.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

/** One table of docs/openai-compatibility.md: a type of the client and what becomes of its members. */
interface Table {
  readonly kind: 'Endpoints' | 'Request' | 'Response';
  readonly file: string;
  readonly type: string;
  readonly members: ReadonlyMap<string, string>;
}

const STATUSES = ['supported', 'ignored', 'refused', 'not applicable'];
const text = readFileSync(join(import.meta.dirname, '../docs/openai-compatibility.md'), 'utf8');
const tables: Table[] = text.split(/^### /m).flatMap((section) => {
  const heading = /^(Endpoints|Request|Response): (\S+) `(.+)`/.exec(section);
  if (!heading) return [];
  const rows = [...section.matchAll(/^\| `(\w+)` *\| ([a-z ]+?) *\|/gm)];
  const members = new Map(rows.map(([, name, status]) => [name as string, status as string]));
  const [, kind, file, type] = heading;
  return [{ kind: kind as Table['kind'], file: file as string, type: type as string, members }];
});
const table = (file: string, type: string): Table => {
  const found = tables.find((each) => each.file === file && each.type === type);
  if (!found) throw new Error(`docs/openai-compatibility.md has no table of ${file} ${type}`);
  return found;
};
const CHAT = 'chat/completions/completions';

let redis: RedisServer;
let longhaul: Longhaul;
let client: OpenAI;

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url, {}, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model);
    return { LONGHAUL_MODEL: model };
  });
  client = longhaul.client;
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

it.each(tables.map(({ file, type, members }) => [file, type, members] as const))(
  'the document lists all of %s %s and nothing else',
  (file, type, members) => {
    expect([...members.keys()].sort()).toEqual(declaredMembers(file, type).sort());
    for (const status of members.values()) expect(STATUSES).toContain(status);
  },
);

it('the document has every table that is checked here', () => {
  expect(tables.length).toBe(23);
});

it('the document lists the keywords of JSON schemas', () => {
  const section = text.slice(text.indexOf('### JSON schemas'), text.indexOf('Not supported, among others'));
  const listed = [...section.matchAll(/^\| (`[^|]+`) *\|/gm)].flatMap(([, names]) =>
    names!.replaceAll('`', '').split(', '),
  );
  expect(listed.sort()).toEqual([...KEYWORDS].sort());
});

/** Path and body of an endpoint's request; what the client makes of it is not the point here. */
const post = async (path: string, body: object) => {
  const headers = { 'content-type': 'application/json' };
  const response = await fetch(`${longhaul.url}/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
  return { status: response.status, error: ((await response.json()) as { error?: Record<string, string> }).error };
};

const chat = { model: 'tiny', messages: [{ role: 'user', content: 'Hello?' }] };
/** No answer is empty by chance: its tokens are drawn, and these two end it. */
const WITHOUT_END = { 0: -100, 2: -100 };
/** Asks for something, whatever the field. */
const ANYTHING: Readonly<Record<string, unknown>> = {
  best_of: 7,
  echo: true,
  frequency_penalty: 1,
  presence_penalty: 1,
};

describe.each([
  [CHAT, 'ChatCompletionCreateParamsBase', '/chat/completions', chat],
  ['completions', 'CompletionCreateParamsBase', '/completions', { model: 'tiny', prompt: 'Once upon' }],
  [
    'batches',
    'BatchCreateParams',
    '/batches',
    { input_file_id: 'file-none', endpoint: '/v1/chat/completions', completion_window: '24h' },
  ],
] as const)('fields of %s %s', (file, type, path, valid) => {
  it.each([...table(file, type).members])('%s is %s', async (name, status) => {
    if (status === 'supported') {
      // A value that is wrong for every field: known ones say so.
      const { status: found, error } = await post(path, { ...valid, [name]: { wrong: [] } });
      expect({ found, param: error?.['param'] }).toEqual({
        found: 400,
        param: expect.stringMatching(new RegExp(`^${name}\\b`)),
      });
      expect(error?.['code']).not.toBe('unsupported_parameter');
      if (name !== 'stream_options') expect(error?.['message']).not.toMatch(new RegExp(`supplied: ${name}$`));
    } else if (status === 'refused') {
      const { status: found, error } = await post(path, { ...valid, [name]: ANYTHING[name] ?? 'x' });
      expect({ found, param: error?.['param'] }).toEqual({ found: 400, param: name });
      expect(error?.['message']).not.toContain('Unrecognized');
    } else {
      expect(status).toBe('ignored');
      // Refused for the other field only.
      const { error } = await post(path, { ...valid, [name]: { any: 'thing' }, temperature: 9 });
      expect(error?.['param']).toBe('temperature');
    }
  });
});

/** Checks that an object has what its table says, and nothing of OpenAI's that it says is not there. */
function expectMembers(file: string, type: string, found: object): void {
  for (const [name, status] of table(file, type).members) {
    const there = (found as Record<string, unknown>)[name] !== undefined;
    expect({ name, there }, `${type}.${name}`).toEqual({ name, there: status === 'supported' });
  }
}

describe('responses', () => {
  it('of files and batches have the fields that the document says', async () => {
    const upload = await toFile(Buffer.from('text'), 'a.txt');
    const expires_after = { anchor: 'created_at' as const, seconds: 3600 };
    expectMembers(
      'files',
      'FileObject',
      await client.files.create({ file: upload, purpose: 'user_data', expires_after }),
    );
    const id = await startBatch(longhaul, [line('a', { ...chat, max_tokens: 2 })]);
    const batch = await endOfBatch(longhaul, id);
    expectMembers('batches', 'Batch', batch);
    expectMembers('batches', 'BatchUsage', batch.usage ?? {});
  });

  it('of completions have the fields that the document says', async () => {
    const request = { ...chat, max_tokens: 3, logprobs: true, top_logprobs: 1, logit_bias: WITHOUT_END } as const;
    const answer = await client.chat.completions.create(request as OpenAI.ChatCompletionCreateParamsNonStreaming);
    const [choice] = answer.choices;
    expectMembers(CHAT, 'ChatCompletion', answer);
    expectMembers(CHAT, 'ChatCompletion.Choice', choice ?? {});
    expectMembers(CHAT, 'ChatCompletionMessage', choice?.message ?? {});
    expectMembers(CHAT, 'ChatCompletionTokenLogprob', choice?.logprobs?.content?.[0] ?? {});
    const deltas: object[] = [];
    const streaming = { ...request, stream: true, stream_options: { include_usage: true } };
    for await (const chunk of await client.chat.completions.create(
      streaming as unknown as OpenAI.ChatCompletionCreateParamsStreaming,
    )) {
      expectMembers(CHAT, 'ChatCompletionChunk', chunk);
      deltas.push(...chunk.choices.map(({ delta }) => delta));
    }
    expectMembers(CHAT, 'ChatCompletionChunk.Choice.Delta', Object.assign({}, ...deltas));
    const prompt = { model: 'tiny', prompt: 'Once upon', max_tokens: 3, logprobs: 1 };
    const completion = await client.completions.create(prompt);
    expectMembers('completions', 'Completion', completion);
    expectMembers('completions', 'CompletionChoice', completion.choices[0] ?? {});
    expectMembers('completions', 'CompletionUsage', completion.usage ?? {});
    expectMembers('models', 'Model', await client.models.retrieve('tiny'));
  });

  it('of a batch of text completions are text completions, one a line', async () => {
    const textLine = (custom_id: string, body: object) => ({ custom_id, method: 'POST', url: '/v1/completions', body });
    const ask = { model: 'tiny', max_tokens: 2 };
    const prompts = ['Once upon', [5, 6, 7], 'Twice upon'];
    const lines = [
      textLine('one', { ...ask, prompt: 'Once upon', n: 2 }),
      textLine('several', { ...ask, prompt: prompts, logprobs: 1 }),
      textLine('wrong', { ...ask, prompt: 7 }),
      line('a chat', chat),
    ];
    const batch = await endOfBatch(longhaul, await startBatch(longhaul, lines, { endpoint: '/v1/completions' }));
    expect(batch).toMatchObject({ endpoint: '/v1/completions', request_counts: { total: 4, completed: 2, failed: 2 } });
    const output = await fileLines(longhaul, batch.output_file_id);
    const bodies = output.map(({ response }) => response!.body as OpenAI.Completion);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['one', 'several']);
    expect(bodies.map(({ choices }) => choices.map(({ index }) => index))).toEqual([
      [0, 1],
      [0, 1, 2],
    ]);
    for (const body of bodies) expectMembers('completions', 'Completion', body);
    expectMembers('completions', 'CompletionChoice', bodies[1]!.choices[2]!);
    const tokens = (count: (usage: OpenAI.CompletionUsage) => number) =>
      bodies.reduce((sum, { usage }) => sum + count(usage!), 0);
    expect(batch.usage).toMatchObject({
      input_tokens: tokens((usage) => usage.prompt_tokens),
      output_tokens: tokens((usage) => usage.completion_tokens),
    });
    const errors = await fileLines(longhaul, batch.error_file_id);
    expect(errors.map(({ response }) => response?.body.error.param)).toEqual(['prompt', 'url']);
    const rows = await (await fetch(`${longhaul.url}/v1/jobs/${batch.id}/results?format=json`)).json();
    expect(rows).toMatchObject([
      { custom_id: 'one', answer: bodies[0]!.choices[0]!.text, choice: 0 },
      { custom_id: 'one', answer: bodies[0]!.choices[1]!.text, choice: 1 },
      { custom_id: 'several', choice: 0 },
      { custom_id: 'several', choice: 1 },
      { custom_id: 'several', choice: 2 },
      { custom_id: 'wrong', answer: null },
      { custom_id: 'a chat', answer: null },
    ]);
  });

  it('take a message that was answered back into the conversation', async () => {
    const first = await client.chat.completions.create({
      ...(chat as OpenAI.ChatCompletionCreateParamsNonStreaming),
      max_tokens: 2,
    });
    const messages = [...chat.messages, first.choices[0]!.message, { role: 'user', name: 'Ann', content: 'And?' }];
    const second = await client.chat.completions.create({
      model: 'tiny',
      messages: messages as OpenAI.ChatCompletionMessageParam[],
      max_tokens: 2,
    });
    expect(second.choices).toHaveLength(1);
  });
});

describe('endpoints', () => {
  /** Method and address of what is an endpoint; the others are helpers of the client. */
  const REQUESTS: Readonly<Record<string, readonly [method: string, path: string]>> = {
    'files.create': ['POST', '/files'],
    'files.retrieve': ['GET', '/files/x'],
    'files.list': ['GET', '/files'],
    'files.delete': ['DELETE', '/files/x'],
    'files.content': ['GET', '/files/x/content'],
    'batches.create': ['POST', '/batches'],
    'batches.retrieve': ['GET', '/batches/x'],
    'batches.list': ['GET', '/batches'],
    'batches.cancel': ['POST', '/batches/x/cancel'],
    [`${CHAT}.create`]: ['POST', '/chat/completions'],
    [`${CHAT}.retrieve`]: ['GET', '/chat/completions/x'],
    [`${CHAT}.update`]: ['POST', '/chat/completions/x'],
    [`${CHAT}.list`]: ['GET', '/chat/completions'],
    [`${CHAT}.delete`]: ['DELETE', '/chat/completions/x'],
    'completions.create': ['POST', '/completions'],
    'models.retrieve': ['GET', '/models/tiny'],
    'models.list': ['GET', '/models'],
    'models.delete': ['DELETE', '/models/tiny'],
  };
  const listed = tables
    .filter(({ kind }) => kind === 'Endpoints')
    .flatMap(({ file, members }) => [...members].map(([name, status]) => [`${file}.${name}`, status] as const));

  it.each(listed.filter(([name]) => REQUESTS[name]))('%s is %s', async (name, status) => {
    const [method, path] = REQUESTS[name]!;
    const response = await fetch(`${longhaul.url}/v1${path}`, { method });
    const { error } = (await response.json()) as { error?: { code: string | null } };
    expect(error?.code === 'unknown_url').toBe(status === 'not applicable');
  });

  it('are all tried but for helpers of the client', () => {
    const helpers = ['files.waitForProcessing', `${CHAT}.parse`, `${CHAT}.stream`, `${CHAT}.runTools`];
    expect(listed.map(([name]) => name).sort()).toEqual([...Object.keys(REQUESTS), ...helpers].sort());
  });
});
