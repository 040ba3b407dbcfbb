import type { ItemResult } from '@app/results';
import { describe, expect, it } from 'vitest';
import { askedBy, type JobRow, rowsOf } from './job-rows.js';
import { ROW_FORMATS, type RowFormat } from './row-formats.js';

const asked = { document: 'lease.pdf', question: 'Who, "exactly"?' };
const answered = (contents: string[]): ItemResult => {
  const choices = contents.map((content, index) => ({ index, message: { content }, finish_reason: 'stop' }));
  const body = { choices, usage: { prompt_tokens: 90, completion_tokens: 7 } };
  return { id: 'r', custom_id: 'lease.pdf#1', response: { status_code: 200, request_id: 'q', body }, error: null };
};
const late: ItemResult = { id: 'r', custom_id: 'x', response: null, error: { code: 'batch_expired', message: 'late' } };

async function written(format: RowFormat, rows: JobRow[]): Promise<string> {
  const source = (async function* () {
    yield* rows;
  })();
  let text = '';
  for await (const piece of ROW_FORMATS[format].write(source)) text += piece;
  return text;
}

describe('rows', () => {
  it('are one for each answer, tokens counted once', () => {
    const rows = rowsOf(answered(['Yes', 'No']), asked);
    expect(rows.map(({ choice, answer, completion_tokens }) => [choice, answer, completion_tokens])).toEqual([
      [0, 'Yes', 7],
      [1, 'No', null],
    ]);
    expect(rows[0]).toMatchObject({ custom_id: 'lease.pdf#1', ...asked, prompt_tokens: 90, error: null });
  });

  it('have the answers to the parts of a long document, but for CSV', async () => {
    const { response, ...item } = answered(['Yes', 'No']);
    const parts = [{ index: 0, tokens: 900, content: 'Perhaps', finish_reason: 'stop' }];
    const body = { ...(response!.body as object), parts };
    const rows = rowsOf({ ...item, response: { ...response!, body } }, asked);
    expect(rows.map((row) => row.parts)).toEqual([parts, undefined]);
    expect(JSON.parse(await written('json', rows))).toEqual(rows);
    expect(await written('csv', rows)).not.toContain('Perhaps');
  });

  it('are there for text completions too', () => {
    const { response, ...item } = answered([]);
    const choices = [{ index: 0, text: 'Once', finish_reason: 'stop' }];
    const rows = rowsOf({ ...item, response: { ...response!, body: { choices } } }, asked);
    expect(rows).toMatchObject([{ choice: 0, answer: 'Once', prompt_tokens: null, error: null }]);
  });

  it('say why there is no answer, whoever refused', () => {
    const response = { status_code: 400, request_id: 'q', body: { error: { message: 'too long' } } };
    expect(rowsOf({ ...late, response, error: null }, asked)).toMatchObject([
      { answer: null, error: 'too long', ...asked },
    ]);
    expect(rowsOf(late, asked)).toMatchObject([{ custom_id: 'x', answer: null, error: 'late' }]);
  });

  it('know what was asked where a body has a file and a text of its own', () => {
    const content = [
      { type: 'file', file: { file_id: 'file-1' } },
      { type: 'text', text: 'Who?' },
    ];
    expect(askedBy({ messages: [{ role: 'user', content }] })).toEqual({ fileId: 'file-1', question: 'Who?' });
    const others = [
      undefined,
      null,
      7,
      {},
      { messages: 'x' },
      { messages: [null] },
      { messages: [{ content: 'Hi' }] },
      { messages: [{ content: [null] }] },
    ];
    for (const body of others) expect(askedBy(body)).toEqual({ fileId: null, question: null });
  });
});

describe('formats', () => {
  const rows = [
    ...rowsOf(answered(['Line one,\nline "two"']), asked),
    ...rowsOf(late, { document: null, question: null }),
  ];

  it('are read back as what was written', async () => {
    expect(JSON.parse(await written('json', rows))).toEqual(rows);
    expect(await written('json', [])).toBe('[]\n');
    const lines = (await written('jsonl', rows)).split('\n');
    expect(lines.slice(0, -1).map((line) => JSON.parse(line))).toEqual(rows);
  });

  it('quote what CSV needs quoted', async () => {
    expect(await written('csv', rows)).toBe(
      'custom_id,document,question,choice,answer,finish_reason,prompt_tokens,completion_tokens,error\r\n' +
        'lease.pdf#1,lease.pdf,"Who, ""exactly""?",0,"Line one,\nline ""two""",stop,90,7,\r\n' +
        'x,,,0,,,,,late\r\n',
    );
  });
});
