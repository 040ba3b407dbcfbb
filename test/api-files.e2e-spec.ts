import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { ConflictError, toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiAlone, BATCH, errorOf, MAX_FILE_BYTES, until } from './api-alone.js';

let api: ApiAlone;

beforeAll(async () => {
  api = await ApiAlone.start();
});
afterAll(() => api?.stop());

const form = (...fields: [name: string, value: string | Blob][]): FormData => {
  const data = new FormData();
  for (const [name, value] of fields) data.append(name, value as Blob);
  return data;
};

/** A refusal does not wait for what had arrived to be removed, so the request before may still be at it. */
const finished = async (): Promise<string[]> =>
  (await api.storedFiles()).filter((path) => !path.includes('/.unfinished/'));

describe('files', () => {
  it('stores an upload and gives it back byte for byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 256));
    const began = Math.floor(Date.now() / 1000);
    const file = await api.client.files.create({ file: await toFile(bytes, 'Prüfung "1".txt'), purpose: 'user_data' });
    expect(file).toEqual({
      id: expect.stringMatching(/^file-\w+$/),
      object: 'file',
      bytes: bytes.length,
      created_at: expect.any(Number),
      filename: 'Prüfung "1".txt',
      purpose: 'user_data',
      status: 'processed',
    });
    expect(file.created_at).toBeGreaterThanOrEqual(began);
    expect(file.created_at).toBeLessThanOrEqual(Date.now() / 1000);
    expect(await api.client.files.retrieve(file.id)).toEqual(file);
    const content = await api.client.files.content(file.id);
    expect(Buffer.from(await content.arrayBuffer()).equals(bytes)).toBe(true);
    expect(content.headers.get('content-length')).toBe('300000');
    expect(content.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each([
    ['before', ['purpose', 'batch'], ['file', new File(['{}\n'], 'a.jsonl')]],
    ['after', ['file', new File(['{}\n'], 'a.jsonl')], ['purpose', 'batch']],
  ] as [string, [string, string | Blob], [string, string | Blob]][])(
    'takes the purpose %s the file',
    async (_, a, b) => {
      const response = await fetch(`${api.url}/v1/files`, { method: 'POST', body: form(a, b) });
      expect(response.status).toBe(200);
      expect(await response.json()).toMatchObject({ bytes: 3, filename: 'a.jsonl', purpose: 'batch' });
    },
  );

  /** Begins an upload whose end is up to the test. */
  const beginUpload = () => {
    const upload = httpRequest(`${api.url}/v1/files`, {
      method: 'POST',
      headers: { 'content-type': 'multipart/form-data; boundary=xx' },
    });
    upload.write('--xx\r\ncontent-disposition: form-data; name="purpose"\r\n\r\nuser_data\r\n');
    upload.write('--xx\r\ncontent-disposition: form-data; name="file"; filename="slow.txt"\r\n\r\n');
    upload.write('x'.repeat(500_000));
    return upload;
  };
  const unfinished = async (): Promise<number[]> => {
    const path = join(api.environment['LONGHAUL_DATA_DIR']!, 'blobs', '.unfinished');
    const names = await readdir(path).catch(() => []);
    return Promise.all(names.map(async (name) => (await stat(join(path, name)).catch(() => ({ size: 0 }))).size));
  };

  it('writes to disk while the upload still arrives', async () => {
    const upload = beginUpload();
    await until(async () => ((await unfinished())[0] ?? 0) > 300_000);
    upload.end('the end\r\n--xx--\r\n');
    const [response] = (await once(upload, 'response')) as [NodeJS.ReadableStream & { statusCode: number }];
    let body = '';
    for await (const chunk of response) body += chunk;
    expect(response.statusCode).toBe(200);
    expect(JSON.parse(body)).toMatchObject({ bytes: 500_007 });
    expect(await unfinished()).toEqual([]);
  });

  it('removes what had arrived when the client goes away', async () => {
    const before = await api.storedFiles();
    const upload = beginUpload();
    upload.on('error', () => undefined);
    await until(async () => ((await unfinished())[0] ?? 0) > 300_000);
    upload.destroy();
    await until(async () => (await unfinished()).length === 0);
    expect(await api.storedFiles()).toEqual(before);
  });

  const jsonl = new File(['{}\n'], 'a.jsonl');
  const expiring = (anchor: string, seconds: string) =>
    form(['file', jsonl], ['purpose', 'batch'], ['expires_after[anchor]', anchor], ['expires_after[seconds]', seconds]);
  it.each([
    ['an empty file', form(['purpose', 'batch'], ['file', new File([], 'a')]), 400, 'file', 'empty_file'],
    ['no file', form(['purpose', 'batch']), 400, 'file', 'missing_required_parameter'],
    ['a file without a name', form(['purpose', 'batch'], ['file', '{}']), 400, 'file', 'invalid_value'],
    ['no purpose', form(['file', jsonl]), 400, 'purpose', 'missing_required_parameter'],
    ['a purpose of ours', form(['file', jsonl], ['purpose', 'batch_output']), 400, 'purpose', 'invalid_value'],
    ['an unknown purpose', form(['file', jsonl], ['purpose', 'assistants']), 400, 'purpose', 'invalid_value'],
    [
      'two purposes',
      form(['file', jsonl], ['purpose', 'batch'], ['purpose', 'batch']),
      400,
      'purpose',
      'invalid_value',
    ],
    ['two files', form(['file', jsonl], ['file', jsonl], ['purpose', 'batch']), 400, 'file', 'invalid_value'],
    ['a file in another field', form(['purpose', 'batch'], ['document', jsonl]), 400, 'document', 'unknown_parameter'],
    ['an unknown field', form(['file', jsonl], ['purpose', 'batch'], ['size', '3']), 400, 'size', 'unknown_parameter'],
    [
      'a field that every object has',
      form(['file', jsonl], ['purpose', 'batch'], ['__proto__[x]', '1']),
      400,
      '__proto__',
      'unknown_parameter',
    ],
    ['a long field', form(['purpose', 'x'.repeat(2000)], ['file', jsonl]), 400, 'purpose', 'invalid_value'],
    ['another anchor', expiring('now', '3600'), 400, 'expires_after.anchor', 'invalid_value'],
    ['an expiry too soon', expiring('created_at', '3599'), 400, 'expires_after.seconds', 'invalid_value'],
    ['an expiry too late', expiring('created_at', '2592001'), 400, 'expires_after.seconds', 'invalid_value'],
    ['an expiry that is no number', expiring('created_at', '1e9'), 400, 'expires_after.seconds', 'invalid_value'],
    [
      'an expiry as text',
      form(['file', jsonl], ['purpose', 'batch'], ['expires_after', '3600']),
      400,
      'expires_after',
      'invalid_value',
    ],
    [
      'a file over the limit',
      form(['purpose', 'batch'], ['file', new File(['x'.repeat(MAX_FILE_BYTES + 1)], 'a')]),
      413,
      'file',
      'request_too_large',
    ],
  ])('refuses %s and leaves nothing behind', async (_, body, status, param, code) => {
    const before = await finished();
    const error = await api.refused('/v1/files', { method: 'POST', body });
    expect(error).toMatchObject({ status, type: 'invalid_request_error', param, code });
    expect(error.message).toContain(status === 413 ? '2000000 bytes' : param);
    await until(async () => (await api.storedFiles()).join() === before.join());
    expect(await api.redis.keys('longhaul:{files}:record:*')).toHaveLength(before.length);
  });

  it('refuses a query and leaves nothing behind', async () => {
    const before = await finished();
    const init = { method: 'POST', body: form(['purpose', 'batch'], ['file', jsonl]) };
    expect(await api.refused('/v1/files?size=3', init)).toMatchObject({ status: 400, param: 'size' });
    await until(async () => (await api.storedFiles()).join() === before.join());
  });

  it.each([
    ['JSON', '{}', 'application/json', 'invalid_content_type'],
    ['another multipart', '', 'multipart/mixed; boundary=xx', 'invalid_content_type'],
    ['a form without a boundary', '--xx', 'multipart/form-data', 'invalid_multipart'],
    [
      'a form that breaks off',
      '--xx\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf',
      'multipart/form-data; boundary=xx',
      'invalid_multipart',
    ],
    ['a form with a broken part', '--xx\r\nfoo\r\n\r\n--xx--', 'multipart/form-data; boundary=xx', 'invalid_multipart'],
  ])('refuses %s', async (_, body, type, code) => {
    const before = await finished();
    expect(await api.refusedPost('/v1/files', body, type)).toMatchObject({ status: 400, param: 'file', code });
    await until(async () => (await api.storedFiles()).join() === before.join());
  });
});

describe('a file that is there', () => {
  const create = async (name: string, purpose: 'batch' | 'user_data' = 'user_data', more: object = {}) =>
    api.client.files.create({ file: await toFile(Buffer.from('0123456789'), name), purpose, ...more });

  const callsWith = (id: string): (() => Promise<unknown>)[] => [
    () => api.client.files.retrieve(id),
    () => api.client.files.content(id),
    () => api.client.files.delete(id),
  ];

  it('expires when asked to, a batch file in 30 days otherwise, a document never', async () => {
    const seconds = 3600;
    const asked = await create('a', 'user_data', { expires_after: { anchor: 'created_at', seconds } });
    expect(asked.expires_at).toBe(asked.created_at + seconds);
    const batch = await create('b', 'batch');
    expect(batch.expires_at).toBe(batch.created_at + 30 * 24 * 3600);
    expect((await create('c')).expires_at).toBeUndefined();
  });

  it('is listed, page by page, in both orders and by purpose', async () => {
    for await (const { id } of api.client.files.list()) await api.client.files.delete(id);
    const names = ['a', 'b', 'c', 'd', 'e'];
    for (const name of names) await create(name, name === 'b' || name === 'd' ? 'batch' : 'user_data');
    const listed = async (query: object) => {
      const found: string[] = [];
      for await (const { filename } of api.client.files.list(query)) found.push(filename);
      return found.join('');
    };
    expect(await listed({})).toBe('edcba');
    expect(await listed({ limit: 2 })).toBe('edcba');
    expect(await listed({ limit: 2, order: 'asc' })).toBe('abcde');
    expect(await listed({ limit: 1, purpose: 'batch' })).toBe('db');
    expect(await listed({ purpose: 'batch_output' })).toBe('');
    const page = await api.client.files.list({ limit: 3 });
    expect(page.has_more).toBe(true);
    const raw = await (await fetch(`${api.url}/v1/files?limit=3`)).json();
    expect(raw).toMatchObject({ object: 'list', first_id: page.data[0]!.id, last_id: page.data[2]!.id });
    expect(await (await fetch(`${api.url}/v1/files?purpose=batch_output`)).json()).toEqual({
      object: 'list',
      data: [],
      first_id: null,
      last_id: null,
      has_more: false,
    });
  });

  it.each([
    ['limit=0', 'limit'],
    ['limit=10001', 'limit'],
    ['limit=ten', 'limit'],
    ['limit=1.5', 'limit'],
    ['limit=', 'limit'],
    ['limit=1&limit=2', 'limit'],
    ['order=up', 'order'],
    ['after=file-none', 'after'],
    ['after=batch_1', 'after'],
    ['after=a&after=b', 'after'],
    ['purpose=assistants', 'purpose'],
    ['before=file-1', 'before'],
  ])('is not listed for %s', async (query, param) => {
    expect(await api.refused(`/v1/files?${query}`)).toMatchObject({
      status: 400,
      type: 'invalid_request_error',
      param,
      message: expect.stringContaining(param),
    });
  });

  it('is read in parts', async () => {
    const { id } = await create('digits.txt');
    const get = async (range: string, more: Record<string, string> = {}) => {
      const response = await api.client.files.content(id, { headers: { range, ...more } });
      const { headers } = response;
      return [response.status, await response.text(), headers.get('content-range'), headers.get('content-length')];
    };
    const whole = [200, '0123456789', null, '10'];
    expect(await get('bytes=2-4')).toEqual([206, '234', 'bytes 2-4/10', '3']);
    expect(await get('bytes=7-')).toEqual([206, '789', 'bytes 7-9/10', '3']);
    expect(await get('bytes=-2')).toEqual([206, '89', 'bytes 8-9/10', '2']);
    expect(await get('bytes=5-500')).toEqual([206, '56789', 'bytes 5-9/10', '5']);
    for (const range of ['lines=1-2', 'bytes', 'bytes=0-1,4-5']) expect(await get(range)).toEqual(whole);
    const etag = (await api.client.files.content(id)).headers.get('etag')!;
    expect(await get('bytes=0-0', { 'if-range': etag })).toEqual([206, '0', 'bytes 0-0/10', '1']);
    expect(await get('bytes=0-0', { 'if-range': '"other"' })).toEqual(whole);
    const outside = await errorOf(api.client.files.content(id, { headers: { range: 'bytes=10-' } }));
    expect(outside).toMatchObject({ status: 416, param: 'range', code: 'range_not_satisfiable' });
    expect(outside.headers?.get('content-range')).toBe('bytes */10');
  });

  it('is deleted with its content, once', async () => {
    const { id } = await create('a');
    const stored = await finished();
    expect(await api.client.files.delete(id)).toEqual({ id, object: 'file', deleted: true });
    expect(await finished()).toHaveLength(stored.length - 1);
    for (const call of callsWith(id)) {
      expect(await errorOf(call())).toMatchObject({ status: 404, param: 'id' });
    }
  });

  it('is not deleted while a batch needs it', async () => {
    const { id } = await create('a.jsonl', 'batch');
    const batch = await api.client.batches.create({ ...BATCH, input_file_id: id });
    const error = await errorOf(api.client.files.delete(id));
    expect(error).toBeInstanceOf(ConflictError);
    expect(error).toMatchObject({ status: 409, type: 'invalid_request_error', param: 'id', code: 'file_in_use' });
    expect(error.message).toContain(`in use by batch '${batch.id}'`);
    expect(error.headers?.get('x-should-retry')).toBe('false');
    expect(await (await api.client.files.content(id)).text()).toBe('0123456789');
  });

  it('does not exist under an id of nothing or of something else', async () => {
    const { id: input_file_id } = await create('a.jsonl', 'batch');
    const { id: batchId } = await api.client.batches.create({ ...BATCH, input_file_id });
    for (const id of ['file-none', batchId, `${input_file_id}x`, 'x'.repeat(2000)]) {
      for (const call of callsWith(id)) {
        expect(await errorOf(call())).toMatchObject({
          status: 404,
          type: 'invalid_request_error',
          param: 'id',
          error: { message: `No such File object: ${id}` },
        });
      }
    }
    expect(await api.refused('/v1/files/..%2F..%2Fetc%2Fpasswd/content')).toMatchObject({ status: 404 });
    const asInput = await errorOf(api.client.batches.create({ ...BATCH, input_file_id: batchId }));
    expect(asInput).toMatchObject({ status: 404, param: 'input_file_id' });
  });
});
