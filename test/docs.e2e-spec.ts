import { join } from 'node:path';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { endOfBatch, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

interface Media {
  readonly schema: { readonly $ref?: string };
  readonly example?: unknown;
}
interface Operation {
  readonly summary?: string;
  readonly operationId: string;
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[];
  readonly security?: readonly object[];
  readonly requestBody?: { readonly content: Record<string, Media> };
  readonly responses: Record<string, { readonly description: string; readonly content: Record<string, Media> }>;
}
interface OpenApi {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: {
    readonly securitySchemes: object;
    readonly schemas: Record<string, { readonly properties: Record<string, object> }>;
  };
}

let redis: RedisServer;
let longhaul: Longhaul;
let document: OpenApi;
const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });

beforeAll(async () => {
  redis = await startRedis();
  longhaul = await startLonghaul(redis.url, {}, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model);
    return { LONGHAUL_MODEL: model };
  });
  document = (await (await fetch(`${longhaul.url}/docs/openapi.json`)).json()) as OpenApi;
  ajv.addSchema(document, 'openapi');
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

/** Names of operations: `get /v1/files/{id}`. */
const operations = () =>
  Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, ...operation })),
  );
const pointer = (...names: readonly string[]) =>
  names.map((name) => name.replaceAll('~', '~0').replaceAll('/', '~1').replaceAll('{', '%7B').replaceAll('}', '%7D'));

/** Checks a value against the schema at a place of the document. */
function expectValid(place: readonly string[], value: unknown): void {
  const validate = ajv.compile({ $ref: `openapi#/${pointer(...place).join('/')}` });
  expect({ place, value, errors: validate(value) ? null : validate.errors }).toMatchObject({ errors: null });
}

/** Checks a response's body, lines or events against what the document says of its route. */
async function expectDescribed(name: string, response: Response): Promise<unknown[]> {
  const [method, path] = name.split(' ') as [string, string];
  const type = response.headers.get('content-type')!.split(';')[0]!;
  const place = ['paths', path, method, 'responses', String(response.status), 'content', type, 'schema'];
  const text = await response.text();
  const bodies: unknown[] = type.endsWith('/json') ? [JSON.parse(text)] : [];
  if (type === 'application/jsonl')
    bodies.push(
      ...text
        .trim()
        .split('\n')
        .map((one) => JSON.parse(one)),
    );
  if (type === 'text/event-stream') {
    const events = [...text.matchAll(/^data: (.*)$/gm)].map(([, data]) => data!);
    expect(events.pop()).toBe('[DONE]');
    bodies.push(...events.map((data) => JSON.parse(data)));
  }
  if (bodies.length === 0) bodies.push(text);
  for (const body of bodies) expectValid(place, body);
  return bodies;
}

const call = (method: string, path: string, body?: object) =>
  fetch(`${longhaul.url}${path}`, {
    method,
    ...(body && { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) }),
  });
const upload = (content: string, purpose: string) => {
  const form = new FormData();
  form.set('purpose', purpose);
  form.set('file', new File([content], 'a.txt'));
  return fetch(`${longhaul.url}/v1/files`, { method: 'POST', body: form });
};

describe('the OpenAPI document', () => {
  it('describes every endpoint, what it takes, what it answers and how it refuses', () => {
    expect(document.openapi).toBe('3.1.0');
    expect(document.components.securitySchemes).toMatchObject({ apiKey: { type: 'http', scheme: 'bearer' } });
    expect(
      operations()
        .map(({ name }) => name)
        .sort(),
    ).toEqual([
      'delete /v1/files/{id}',
      'get /health',
      'get /v1/batches',
      'get /v1/batches/{id}',
      'get /v1/files',
      'get /v1/files/{id}',
      'get /v1/files/{id}/content',
      'get /v1/jobs',
      'get /v1/jobs/{id}',
      'get /v1/jobs/{id}/events',
      'get /v1/jobs/{id}/results',
      'get /v1/models',
      'get /v1/models/{id}',
      'post /v1/batches',
      'post /v1/batches/{id}/cancel',
      'post /v1/chat/completions',
      'post /v1/completions',
      'post /v1/files',
      'post /v1/jobs',
      'post /v1/jobs/{id}/cancel',
    ]);
    for (const { name, summary, operationId, responses, parameters, security } of operations()) {
      expect([name, summary]).toEqual([name, expect.stringMatching(/\w/)]);
      expect([name, operationId]).toEqual([name, expect.stringMatching(/^[a-z]+[A-Z]\w+$/)]);
      for (const [status, { description, content }] of Object.entries(responses)) {
        expect([name, status, description]).toEqual([name, status, expect.stringMatching(/\w/)]);
        for (const { schema } of Object.values(content)) expect(Object.keys(schema)).not.toEqual([]);
      }
      expect(Object.keys(responses)).toEqual(expect.arrayContaining(['200', '500', '503', 'default']));
      const asked = name.includes(' /v1/');
      expect([name, '401' in responses, '429' in responses]).toEqual([name, asked, asked]);
      expect(security).toEqual(asked ? [{ apiKey: [] }, {}] : undefined);
      for (const { in: where, required } of parameters) expect([name, required]).toEqual([name, where === 'path']);
    }
    const fieldsOf = (path: string, type = 'application/json'): string[] => {
      const { $ref } = document.paths[path]!['post']!.requestBody!.content[type]!.schema;
      return Object.keys(document.components.schemas[$ref!.split('/').pop()!]!.properties);
    };
    expect(fieldsOf('/v1/files', 'multipart/form-data')).toEqual(['file', 'purpose', 'expires_after']);
    expect(fieldsOf('/v1/batches')).toEqual(expect.arrayContaining(['input_file_id', 'endpoint', 'compression']));
    expect(fieldsOf('/v1/jobs')).toEqual(expect.arrayContaining(['documents', 'questions', 'completion_window']));
    for (const path of ['/v1/chat/completions', '/v1/completions']) {
      expect(fieldsOf(path)).toEqual(expect.arrayContaining(['model', 'temperature', 'stream', 'compression']));
    }
  });

  it('has examples that follow its own schemas', () => {
    let checked = 0;
    for (const [path, methods] of Object.entries(document.paths)) {
      for (const [method, { requestBody, responses }] of Object.entries(methods)) {
        const places = [
          ...Object.entries(requestBody?.content ?? {}).map(([type, media]) => [['requestBody'], type, media] as const),
          ...Object.entries(responses).flatMap(([status, { content }]) =>
            Object.entries(content).map(([type, media]) => [['responses', status], type, media] as const),
          ),
        ];
        for (const [place, type, { example }] of places) {
          if (example === undefined) continue;
          expectValid(['paths', path, method, ...place, 'content', type, 'schema'], example);
          checked++;
        }
      }
    }
    expect(checked).toBeGreaterThan(20);
  });

  it('shows it on a page that loads nothing from elsewhere', async () => {
    const page = await fetch(`${longhaul.url}/docs`);
    expect(page.status).toBe(200);
    const html = await page.text();
    expect(html).toContain('swagger-ui-bundle.js');
    expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  });
});

describe('real responses follow the OpenAPI document:', () => {
  const ask = { model: 'tiny', max_tokens: 3 };
  const chat = { ...ask, messages: [{ role: 'user', content: 'Hello?' }] };

  it('files', async () => {
    const [file] = (await expectDescribed('post /v1/files', await upload('text', 'user_data'))) as [{ id: string }];
    await expectDescribed('get /v1/files', await call('GET', '/v1/files?limit=1'));
    await expectDescribed('get /v1/files/{id}', await call('GET', `/v1/files/${file.id}`));
    await expectDescribed('get /v1/files/{id}/content', await call('GET', `/v1/files/${file.id}/content`));
    const part = await fetch(`${longhaul.url}/v1/files/${file.id}/content`, { headers: { range: 'bytes=0-1' } });
    expect(part.status).toBe(206);
    await expectDescribed('get /v1/files/{id}/content', part);
    await expectDescribed('delete /v1/files/{id}', await call('DELETE', `/v1/files/${file.id}`));
    await expectDescribed('get /v1/files/{id}', await call('GET', `/v1/files/${file.id}`));
  });

  it('batches and jobs', async () => {
    const compression = { policy: 'full', budget: 1 };
    const id = await startBatch(longhaul, [line('a', chat), 'no JSON'], { metadata: { a: 'b' }, compression });
    await endOfBatch(longhaul, id);
    await expectDescribed('get /v1/batches/{id}', await call('GET', `/v1/batches/${id}`));
    const job = { documents: [{ id: 'd', text: 'The lease ends in May.' }], questions: ['When?'] };
    const options = { max_tokens: 2 };
    const made = await expectDescribed('post /v1/jobs', await call('POST', '/v1/jobs', { ...job, options }));
    const path = `/v1/jobs/${(made[0] as { id: string }).id}`;
    const events = await expectDescribed('get /v1/jobs/{id}/events', await call('GET', `${path}/events`));
    expect(events.length).toBeGreaterThan(2);
    for (const format of ['jsonl', 'json', 'csv']) {
      await expectDescribed('get /v1/jobs/{id}/results', await call('GET', `${path}/results?format=${format}`));
    }
    await expectDescribed('get /v1/jobs/{id}', await call('GET', path));
    await expectDescribed('get /v1/jobs', await call('GET', '/v1/jobs'));
    await expectDescribed('get /v1/batches', await call('GET', '/v1/batches'));
    for (const kind of ['batches', 'jobs']) {
      await expectDescribed(`post /v1/${kind}/{id}/cancel`, await call('POST', `/v1/${kind}/${id}/cancel`));
    }
    await longhaul.worker.kill('SIGTERM');
    const input_file_id = ((await (await upload('{}\n', 'batch')).json()) as { id: string }).id;
    const batch = { input_file_id, endpoint: '/v1/completions', completion_window: '24h' };
    const [created] = (await expectDescribed('post /v1/batches', await call('POST', '/v1/batches', batch))) as [
      { id: string },
    ];
    await expectDescribed('post /v1/batches/{id}/cancel', await call('POST', `/v1/batches/${created.id}/cancel`));
    await longhaul.startWorker();
  });

  it('completions, whole and streamed', async () => {
    const streamed = { stream: true, stream_options: { include_usage: true } };
    const name = 'post /v1/chat/completions';
    for (const more of [{}, { logprobs: true, top_logprobs: 2, n: 2 }, streamed, { ...streamed, logprobs: true }]) {
      await expectDescribed(name, await call('POST', '/v1/chat/completions', { ...chat, ...more }));
    }
    for (const more of [{}, { logprobs: 2 }, streamed, { ...streamed, logprobs: 1 }, { prompt: 7 }]) {
      const body = { ...ask, prompt: ['Once', [5, 6]], ...more };
      await expectDescribed('post /v1/completions', await call('POST', '/v1/completions', body));
    }
    await expectDescribed(name, await call('POST', '/v1/chat/completions', { ...chat, model: 'gpt-9' }));
  });

  it('models and health', async () => {
    await expectDescribed('get /v1/models', await call('GET', '/v1/models'));
    await expectDescribed('get /v1/models/{id}', await call('GET', '/v1/models/tiny'));
    await expectDescribed('get /v1/models/{id}', await call('GET', '/v1/models/gpt-9'));
    await expectDescribed('get /health', await call('GET', '/health'));
  });
});
