import { once } from 'node:events';
import { readdir, stat } from 'node:fs/promises';
import { request as httpRequest } from 'node:http';
import { join } from 'node:path';
import { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ApiAlone, errorOf, MAX_FILE_BYTES, until } from './api-alone.js';

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

describe('files', () => {
  it('stores an upload and gives it back byte for byte', async () => {
    const bytes = Buffer.from(Array.from({ length: 300_000 }, (_, i) => (i * 31) % 256));
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
    expect(Math.abs(file.created_at - Date.now() / 1000)).toBeLessThan(10);
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
  it.each([
    ['an empty file', form(['purpose', 'batch'], ['file', new File([], 'a')]), 400, 'file', 'empty_file'],
    ['no file', form(['purpose', 'batch']), 400, 'file', 'missing_required_parameter'],
    ['no purpose', form(['file', jsonl]), 400, 'purpose', 'missing_required_parameter'],
    ['a purpose of ours', form(['file', jsonl], ['purpose', 'batch_output']), 400, 'purpose', 'invalid_value'],
    ['an unknown purpose', form(['file', jsonl], ['purpose', 'assistants']), 400, 'purpose', 'invalid_value'],
    ['two files', form(['file', jsonl], ['file', jsonl], ['purpose', 'batch']), 400, null, null],
    ['a file in another field', form(['purpose', 'batch'], ['document', jsonl]), 400, null, null],
    [
      'a file over the limit',
      form(['purpose', 'batch'], ['file', new File(['x'.repeat(MAX_FILE_BYTES + 1)], 'a')]),
      413,
      'file',
      'request_too_large',
    ],
  ])('refuses %s and leaves nothing behind', async (_, body, status, param, code) => {
    const before = await api.storedFiles();
    const keys = await api.redis.keys('longhaul:file:*');
    const error = await api.refused('/v1/files', { method: 'POST', body });
    expect(error).toMatchObject({ status, type: 'invalid_request_error', param, code });
    await until(async () => (await api.storedFiles()).join() === before.join());
    expect(await api.redis.keys('longhaul:file:*')).toHaveLength(keys.length);
  });

  it('refuses what is not multipart, and a multipart body that breaks off', async () => {
    expect(await api.refusedPost('/v1/files', '{}')).toMatchObject({ status: 400, param: 'file' });
    const before = await api.storedFiles();
    const cut = '--xx\r\ncontent-disposition: form-data; name="file"; filename="a"\r\n\r\nhalf';
    expect(await api.refusedPost('/v1/files', cut, 'multipart/form-data; boundary=xx')).toMatchObject({ status: 400 });
    // The answer does not wait for the half that was written to be removed.
    await until(async () => (await api.storedFiles()).join() === before.join());
  });

  it('says that a file does not exist', async () => {
    for (const call of [api.client.files.retrieve('file-none'), api.client.files.content('file-none')]) {
      expect(await errorOf(call)).toMatchObject({
        status: 404,
        type: 'invalid_request_error',
        error: { message: 'No such File object: file-none' },
      });
    }
    expect(await api.refused('/v1/files/..%2F..%2Fetc%2Fpasswd/content')).toMatchObject({ status: 404 });
  });
});
