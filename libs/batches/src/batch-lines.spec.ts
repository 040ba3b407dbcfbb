import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { readBatchItem, UnreadableLineError } from './batch-item.js';
import { type BatchLine, readBatchLines } from './batch-lines.js';

const read = async (chunks: Iterable<Buffer>, maxLineBytes = 1000): Promise<BatchLine[]> => {
  const lines: BatchLine[] = [];
  async function* source() {
    yield* chunks;
  }
  for await (const line of readBatchLines(source(), maxLineBytes)) lines.push(line);
  return lines;
};
const texts = (lines: BatchLine[]) => lines.map(({ bytes }) => bytes?.toString());

describe('readBatchLines', () => {
  it('counts lines and skips empty ones', async () => {
    expect(await read([Buffer.from('a\n\n \t\r\nb\r\nc')])).toEqual([
      { index: 0, line: 1, start: 0, length: 1, bytes: Buffer.from('a') },
      { index: 1, line: 4, start: 7, length: 2, bytes: Buffer.from('b\r') },
      { index: 2, line: 5, start: 10, length: 1, bytes: Buffer.from('c') },
    ]);
  });

  it('finds nothing in an empty file and in one of empty lines', async () => {
    expect(await read([])).toEqual([]);
    expect(await read([Buffer.from('\n\r\n \n')])).toEqual([]);
  });

  it('drops a byte order mark', async () => {
    const [first] = await read([Buffer.from('\ufeff{}\n')]);
    expect(first).toEqual({ index: 0, line: 1, start: 3, length: 2, bytes: Buffer.from('{}') });
  });

  it('skips a line over the limit without holding it', async () => {
    const lines = await read([Buffer.from('ok\nxxxx'), Buffer.from('xxxxxx\n12345\n123456')], 5);
    expect(lines.map(({ length, bytes }) => [length, bytes?.toString()])).toEqual([
      [2, 'ok'],
      [10, undefined],
      [5, '12345'],
      [6, undefined],
    ]);
  });

  it('reads the same lines however the bytes are cut, and says where they are', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.constantFrom('', 'a', 'é\u{1f600}', '{"x":1}\r', 'long line '.repeat(5)), { maxLength: 12 }),
        fc.array(fc.nat(200)),
        async (parts, cuts) => {
          const file = Buffer.from(parts.join('\n'));
          const edges = [0, ...cuts.filter((cut) => cut < file.length).sort((a, b) => a - b), file.length];
          const chunks = edges.slice(1).map((edge, i) => file.subarray(edges[i], edge));
          const lines = await read(chunks, 40);
          expect(texts(lines)).toEqual(
            parts.filter((part) => part !== '').map((part) => (part.length > 40 ? undefined : part)),
          );
          for (const { start, length, bytes } of lines) {
            if (bytes) expect(file.subarray(start, start + length)).toEqual(bytes);
          }
        },
      ),
    );
  });
});

describe('readBatchItem', () => {
  const item = (bytes: Buffer | string | undefined) =>
    readBatchItem(
      { index: 0, line: 7, start: 0, length: 9, bytes: bytes === undefined ? undefined : Buffer.from(bytes) },
      8,
    );
  const codeOf = (bytes: Buffer | string | undefined): string => {
    try {
      item(bytes);
    } catch (error) {
      if (error instanceof UnreadableLineError && error.message.includes('ine 7')) return error.code;
      throw error;
    }
    throw new Error('it was accepted');
  };

  it('reads an envelope', () => {
    expect(item('{"custom_id":"ä","method":"POST","url":"/v1/chat/completions","body":{"x":1}}\r')).toEqual({
      customId: 'ä',
      method: 'POST',
      url: '/v1/chat/completions',
      body: { x: 1 },
    });
  });

  it.each<[string, Buffer | string | undefined, string]>([
    ['too long', undefined, 'line_too_long'],
    ['not JSON', 'hello', 'invalid_json_line'],
    ['half of JSON', '{"custom_id":', 'invalid_json_line'],
    ['NaN, which JSON has not', '{"custom_id":"a","body":{"budget":NaN}}', 'invalid_json_line'],
    ['a list', '[]', 'invalid_json_line'],
    ['null', 'null', 'invalid_json_line'],
    ['Latin-1', Buffer.from('{"custom_id":"\xe4"}', 'latin1'), 'invalid_encoding'],
    ['UTF-16', Buffer.from('{"custom_id":"a"}', 'utf16le'), 'invalid_encoding'],
    ['UTF-16 with its mark', Buffer.from('\ufeff{"custom_id":"a"}', 'utf16le'), 'invalid_encoding'],
    ['no custom_id', '{"method":"POST"}', 'invalid_custom_id'],
    ['a number for custom_id', '{"custom_id":5}', 'invalid_custom_id'],
    ['an empty custom_id', '{"custom_id":""}', 'invalid_custom_id'],
    ['a custom_id without end', JSON.stringify({ custom_id: 'x'.repeat(513) }), 'invalid_custom_id'],
  ])('refuses what is %s', (_name, bytes, code) => {
    expect(codeOf(bytes)).toBe(code);
  });
});
