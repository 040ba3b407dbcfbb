import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { deflateSync } from 'node:zlib';
import { FileSystemBlobStore } from '@app/storage';
import OpenAI, { toFile } from 'openai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  endOfBatch,
  fileLines,
  type Longhaul,
  line,
  type OutputLine,
  startBatch,
  startLonghaul,
} from './longhaul-process.js';
import {
  deflatedBomb,
  docxParagraph,
  docxWith,
  docxWithBody,
  pdfWithContent,
  pdfWithLines,
  zipEntry,
  zipOf,
} from './made-documents.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

/** 1,200 characters, as many tokens of the tiny model or fewer. */
const LINES = Array.from({ length: 30 }, (_, i) => `Line ${i} of thirty lines of forty letters.`.slice(0, 40));
const pdf = pdfWithLines(LINES);
const docx = docxWithBody(LINES.map(docxParagraph).join(''));

let redis: RedisServer;
let longhaul: Longhaul;

beforeAll(async () => {
  redis = await startRedis();
  const limits = { LONGHAUL_DOCUMENT_MEMORY_MIB: '256' };
  longhaul = await startLonghaul(redis.url, limits, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, { contextLength: 2048 });
    return { LONGHAUL_MODEL: model };
  });
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

type Part = OpenAI.ChatCompletionContentPart;

const upload = async (content: Buffer | string, name: string): Promise<string> =>
  (
    await longhaul.client.files.create({
      file: await toFile(Buffer.from(content as Buffer), name),
      purpose: 'user_data',
    })
  ).id;
const uploaded = async (content: Buffer | string, name: string): Promise<Part> => ({
  type: 'file',
  file: { file_id: await upload(content, name) },
});
const inline = (content: Buffer, filename: string, type: string): Part => ({
  type: 'file',
  file: { filename, file_data: `data:${type};base64,${content.toString('base64')}` },
});
const about = (document: Part, question = 'Why?'): OpenAI.ChatCompletionCreateParamsNonStreaming => ({
  model: 'tiny',
  messages: [{ role: 'user', content: [document, { type: 'text', text: question }] }],
  max_completion_tokens: 2,
});
const run = async (lines: readonly object[]) => {
  const batch = await endOfBatch(longhaul, await startBatch(longhaul, lines));
  const output = await fileLines(longhaul, batch.output_file_id);
  const errors = await fileLines(longhaul, batch.error_file_id);
  return { batch, output, errors };
};
const extractedTexts = async (): Promise<string[]> =>
  readdir(join(longhaul.dataDir, 'blobs/extracted')).catch(() => []);
const promptTokens = ({ response }: OutputLine): number => response?.body.usage.prompt_tokens;

describe('documents that are no plain text', () => {
  it('are read, wherever they come from, once', async () => {
    const html = '<!doctype html><h1>Title</h1><p>One paragraph.</p>';
    const pdfId = await upload(pdf, 'federalist.pdf');
    const documents: Record<string, Part> = {
      pdf: { type: 'file', file: { file_id: pdfId } },
      'pdf again': await uploaded(pdf, 'the-same.pdf'),
      'pdf inline': inline(pdf, 'federalist.pdf', 'application/pdf'),
      docx: await uploaded(docx, 'federalist.docx'),
      html: await uploaded(html, 'page.html'),
      'html as text': { type: 'text', text: '# Title\n\nOne paragraph.' },
      markdown: await uploaded('# Title\n\nOne paragraph.', 'page.md'),
    };
    const lines = Object.entries(documents).map(([id, document]) => line(id, about(document)));
    const { batch, output } = await run(lines);
    expect(batch.request_counts).toEqual({ total: 7, completed: 7, failed: 0 });
    const tokens = Object.fromEntries(output.map((answer) => [answer.custom_id, promptTokens(answer)]));
    expect(tokens['pdf']).toBeGreaterThan(1000);
    expect(tokens['pdf again']).toBe(tokens['pdf']);
    expect(tokens['pdf inline']).toBe(tokens['pdf']);
    expect(tokens['docx']).toBeGreaterThan(1000);
    expect(tokens['html']).toBe(tokens['html as text']);
    expect(tokens['html']).toBe(tokens['markdown']);
    // One cache for the three PDFs: the same text is the same document.
    const cached = output.map(({ custom_id, response }) => [
      custom_id,
      response?.body.usage.prompt_tokens_details.cached_tokens > 1000,
    ]);
    expect(Object.fromEntries(cached)).toMatchObject({ 'pdf again': true, 'pdf inline': true, docx: false });

    // Both PDFs, the DOCX and the page have one text each; what came inline leaves nothing.
    const kept = await extractedTexts();
    expect(kept).toHaveLength(3);
    const blobs = new FileSystemBlobStore(join(longhaul.dataDir, 'blobs'));
    for (const name of kept) await blobs.put(`extracted/${name}`, '1\nshort');
    const again = await longhaul.client.chat.completions.create(about(documents['pdf']!));
    expect(again.usage!.prompt_tokens).toBeLessThan(100);

    await longhaul.client.files.delete(pdfId);
    expect(await extractedTexts()).toHaveLength(2);
    const gone = await run([line('gone', about(documents['pdf']!)), line('there', about(documents['pdf again']!))]);
    expect(gone.errors.map(({ response }) => response?.body.error.code)).toEqual(['file_not_found']);
    expect(gone.output.map(promptTokens)).toEqual([tokens['pdf']]);
  });

  it('cost their own items only when they are broken, hostile or empty', async () => {
    const scan = pdfWithContent(deflateSync(''));
    const bomb = deflatedBomb('<w:document xmlns:w="x">', 1);
    const pdfBomb = pdfWithContent(Buffer.concat([Buffer.from([0x78, 0x9c]), deflatedBomb('BT ET ', 1).deflated]));
    const locked = `/ID [<00><00>] /Encrypt << /Filter /Standard /V 1 /R 2 /P -4 /O <${'11'.repeat(32)}> /U <${'22'.repeat(32)}> >>`;
    const bad: [name: string, content: Buffer | string, code: string, says: RegExp][] = [
      ['cut.pdf', pdf.subarray(0, 400), 'broken_document', /cut\.pdf.*cut off/],
      ['text.pdf', 'Hello', 'broken_document', /named \.pdf/],
      ['scan.pdf', scan, 'no_text_in_document', /\(OCR\)/],
      ['locked.pdf', pdfWithContent(deflateSync(''), undefined, locked), 'encrypted_document', /password/],
      ['bomb.pdf', pdfBomb, 'extraction_out_of_memory', /256 MiB/],
      ['cut.docx', docx.subarray(0, 600), 'broken_document', /DOCX/],
      ['empty.docx', docxWithBody(''), 'no_text_in_document', /no text/],
      ['bomb.docx', docxWith({ name: 'word/document.xml', ...bomb, size: 100 }), 'extraction_out_of_memory', /256 MiB/],
      ['sheet.xlsx', zipOf([zipEntry('xl/workbook.xml', '<x/>')]), 'unsupported_document', /no Word document/],
      ['deep.html', `<!doctype html>${'<div>'.repeat(20_000)}`, 'broken_document', /nested too deeply/],
      ['picture.txt', Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), 'unsupported_document', /PNG image/],
    ];
    const lines: object[] = [line('fine before', about(await uploaded('A text.', 'a.txt')))];
    for (const [name, content] of bad) lines.push(line(name, about(await uploaded(content, name))));
    lines.push(line('no base64', about({ type: 'file', file: { file_data: 'größer', filename: 'a.pdf' } })));
    lines.push(line('inline cut', about(inline(pdf.subarray(0, 400), 'a.pdf', 'application/pdf'))));
    lines.push(line('fine after', about(await uploaded(docx, 'a.docx'))));

    const { batch, output, errors } = await run(lines);
    expect(batch.status).toBe('completed');
    expect(output.map(({ custom_id }) => custom_id)).toEqual(['fine before', 'fine after']);
    const param = 'messages[0].content[0].file.file_id';
    for (const [i, [name, , code, says]] of bad.entries()) {
      const { custom_id, response, error } = errors[i]!;
      expect({ custom_id, status: response?.status_code, error, ...response?.body.error }).toEqual({
        custom_id: name,
        status: 400,
        error: null,
        type: 'invalid_request_error',
        param,
        code,
        message: expect.stringMatching(says),
      });
    }
    expect(errors.slice(bad.length).map(({ response }) => response?.body.error)).toMatchObject([
      { code: 'invalid_base64', param: 'messages[0].content[0].file.file_data' },
      { code: 'broken_document', param: 'messages[0].content[0].file.file_data' },
    ]);
  });

  it('are refused to a chat completion with the same words', async () => {
    const cut = await uploaded(pdf.subarray(0, 400), 'cut.pdf');
    const error = await longhaul.client.chat.completions.create(about(cut)).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(OpenAI.BadRequestError);
    expect(error).toMatchObject({ code: 'broken_document', param: 'messages[0].content[0].file.file_id' });
    expect(String(error)).toContain('Upload the whole file.');
  });
});
