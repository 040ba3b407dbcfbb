import { afterAll, beforeAll, expect, it } from 'vitest';
import { ApiAlone } from './api-alone.js';

interface Operation {
  readonly summary?: string;
  readonly requestBody?: { readonly content: Record<string, { readonly schema: { readonly $ref?: string } }> };
  readonly responses: Record<string, unknown>;
}
interface OpenApi {
  readonly openapi: string;
  readonly paths: Record<string, Record<string, Operation>>;
  readonly components: { readonly schemas: Record<string, { readonly properties: Record<string, object> }> };
}

let api: ApiAlone;

beforeAll(async () => {
  api = await ApiAlone.start();
});
afterAll(async () => {
  await api?.stop();
});

it('describes every endpoint, what it takes and how it refuses', async () => {
  const document = (await (await fetch(`${api.url}/docs/openapi.json`)).json()) as OpenApi;
  expect(document.openapi).toMatch(/^3\./);
  const operations = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => ({ name: `${method} ${path}`, ...operation })),
  );
  expect(operations.map(({ name }) => name).sort()).toEqual([
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
  for (const { name, summary, responses } of operations) {
    expect([name, summary]).toEqual([name, expect.stringMatching(/\w/)]);
    expect(Object.keys(responses)).toContain('default');
  }
  const fieldsOf = (path: string, type = 'application/json'): string[] => {
    const { $ref } = document.paths[path]!['post']!.requestBody!.content[type]!.schema;
    return Object.keys(document.components.schemas[$ref!.split('/').pop()!]!.properties);
  };
  expect(fieldsOf('/v1/files', 'multipart/form-data')).toEqual(['file', 'purpose', 'expires_after']);
  expect(fieldsOf('/v1/batches')).toEqual(
    expect.arrayContaining(['input_file_id', 'completion_window', 'compression']),
  );
  expect(fieldsOf('/v1/jobs')).toEqual(
    expect.arrayContaining(['documents', 'questions', 'pairs', 'completion_window']),
  );
  expect(fieldsOf('/v1/chat/completions')).toEqual(expect.arrayContaining(['model', 'messages', 'response_format']));
});

it('shows it on a page that loads nothing from elsewhere', async () => {
  const page = await fetch(`${api.url}/docs`);
  expect(page.status).toBe(200);
  const html = await page.text();
  expect(html).toContain('swagger-ui-bundle.js');
  expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
});
