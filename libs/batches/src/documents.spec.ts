import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FileSystemBlobStore } from '@app/storage';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { pdfWithLines } from '../../../test/made-documents.js';
import { type RedisServer, startRedis } from '../../../test/redis-server.js';
import type { DocumentReference } from './chat-completion.dto.js';
import { DocumentReader, type DocumentReaderOptions } from './documents.js';
import { keepExtractedText } from './extracted-texts.js';
import { type FileRecord, fileBlobKey, newFileId } from './file-record.js';
import { RedisFileStore } from './file-store.redis.js';

let server: RedisServer;
let redis: Redis;
let folder: string;
let files: RedisFileStore;
let blobs: FileSystemBlobStore;

beforeAll(async () => {
  server = await startRedis();
  redis = new Redis(server.url);
  folder = await mkdtemp(join(tmpdir(), 'documents-'));
  files = new RedisFileStore(redis);
  blobs = new FileSystemBlobStore(folder);
});
afterAll(async () => {
  redis?.disconnect();
  await server?.stop();
  await rm(folder, { recursive: true, force: true });
});

const store = async (content: string | Buffer): Promise<FileRecord> => {
  const id = newFileId();
  const { key: blobKey, bytes, sha256 } = await blobs.put(fileBlobKey(id), content);
  const file = { id, filename: 'a.txt', purpose: 'user_data' as const, bytes, created_at: 1, blobKey, sha256 };
  await files.create(file);
  return file;
};
const newReader = (options: Partial<DocumentReaderOptions> = {}) =>
  new DocumentReader(files, blobs, { contextLength: 16, ...options });
const read = async (reader: DocumentReader, file: DocumentReference): Promise<string> => {
  const parts = [
    { type: 'text' as const, text: 'Read:' },
    { type: 'file' as const, file },
  ];
  const [message] = await reader.messages({ model: 'm', messages: [{ role: 'user', content: parts }] });
  return message!.content;
};
const base64 = (content: string | Buffer): string => Buffer.from(content as Buffer).toString('base64');

describe('DocumentReader', () => {
  it('reads an uploaded document once, and joins it with the other parts', async () => {
    const { id, blobKey } = await store('größer');
    const reader = newReader();
    expect(await read(reader, { file_id: id })).toBe('Read:\n\ngrößer');
    await blobs.delete(blobKey);
    expect(await read(reader, { file_id: id })).toBe('Read:\n\ngrößer');
    await expect(read(newReader(), { file_id: id })).rejects.toMatchObject({
      status: 400,
      param: 'messages[0].content[1].file.file_id',
      code: 'file_not_found',
    });
  });

  it('keeps a document for its batch, and only for a batch', async () => {
    const { id } = await store('text');
    await read(newReader({ batchId: 'batch_1' }), { file_id: id });
    await read(newReader(), { file_id: id });
    expect((await files.withdraw(id))?.heldBy).toEqual(['batch_1']);
  });

  it('takes a text that was extracted before', async () => {
    const pdf = await store(pdfWithLines(['not read again']));
    await keepExtractedText(blobs, pdf.sha256, 'read before');
    expect(await read(newReader(), { file_id: pdf.id })).toBe('Read:\n\nread before');
    await keepExtractedText(blobs, pdf.sha256, 'x'.repeat(16 * 256 + 1));
    await expect(read(newReader(), { file_id: pdf.id })).rejects.toMatchObject({
      code: 'context_length_exceeded',
      message: expect.stringContaining(`File '${pdf.id}' (a.txt): The document has 4097 bytes of text`),
    });
  });

  it('takes a text that cannot fit where the request says what becomes of it, and only there', async () => {
    const { id } = await store('x'.repeat(16 * 256 + 1));
    const reader = newReader();
    const content = [{ type: 'file' as const, file: { file_id: id } }];
    const request = { model: 'm', messages: [{ role: 'user' as const, content }] };
    const [message] = await reader.parted({ ...request, truncation: 'middle' });
    expect(message!.parts).toEqual([{ text: 'x'.repeat(4097), isFile: true }]);
    for (const refused of [request, { ...request, truncation: 'error' as const }]) {
      await expect(reader.messages(refused)).rejects.toMatchObject({ code: 'context_length_exceeded' });
    }
    const huge = base64('x'.repeat(16 * 1024 * 1024 + 1));
    const inline = [{ type: 'file' as const, file: { file_data: huge } }];
    await expect(
      reader.parted({ model: 'm', messages: [{ role: 'user', content: inline }], truncation: 'map_reduce' }),
    ).rejects.toMatchObject({ code: 'context_length_exceeded', message: expect.stringContaining('16777216') });
  });

  it.each([
    ['base64', base64('größer')],
    ['base64 without padding', base64('größer').replaceAll('=', '')],
    ['a data URL', `data:text/plain;charset=utf-8;base64,${base64('größer')}`],
  ])('reads inline data as %s', async (_, data) => {
    expect(await read(newReader(), { file_data: data, filename: 'a.txt' })).toBe('Read:\n\ngrößer');
    expect(await read(newReader(), { file_data: data })).toBe('Read:\n\ngrößer');
  });

  it.each([
    ['no base64', 'größer', 'invalid_base64', /must be base64/],
    ['a link', 'https://example.com/a.pdf', 'invalid_base64', /must be base64/],
    ['nothing', 'data:text/plain;base64,', 'empty_file', /empty/],
    ['an image', base64(Buffer.from('\x89PNG\r\n\x1a\n', 'latin1')), 'unsupported_document', /letter.*PNG image/],
    ['no UTF-8', base64(Buffer.from('caf\xe9', 'latin1')), 'invalid_encoding', /UTF-8/],
    ['too long a text', base64('x'.repeat(16 * 256 + 1)), 'context_length_exceeded', /4097 bytes/],
  ])('refuses inline data that is %s', async (_, data, code, message) => {
    await expect(read(newReader(), { file_data: data, filename: 'letter' })).rejects.toMatchObject({
      status: 400,
      param: 'messages[0].content[1].file.file_data',
      code,
      message: expect.stringMatching(message),
    });
  });
});
