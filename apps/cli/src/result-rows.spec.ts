import { describe, expect, it } from 'vitest';
import { questionLines } from './question-lines.js';
import { askedBy, type ResultRow, rowsOf } from './result-rows.js';
import { ROW_FORMATS } from './row-formats.js';

const asked = { document: 'lease.pdf', question: 'Who, "exactly"?' };
const answered = (contents: string[]): string =>
  JSON.stringify({
    custom_id: 'lease.pdf#1',
    response: {
      status_code: 200,
      body: {
        choices: contents.map((content, index) => ({ index, message: { content }, finish_reason: 'stop' })),
        usage: { prompt_tokens: 90, completion_tokens: 7 },
      },
    },
    error: null,
  });
const failed = (line: object): string => JSON.stringify({ custom_id: 'x', response: null, error: null, ...line });

async function written(format: keyof typeof ROW_FORMATS, rows: ResultRow[]): Promise<string> {
  let text = '';
  const source = (async function* () {
    yield* rows;
  })();
  for await (const piece of ROW_FORMATS[format](source, 30)) text += piece;
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

  it('say why there is no answer, whoever refused', () => {
    const refused = failed({ response: { status_code: 400, body: { error: { message: 'too long' } } } });
    const cancelled = failed({ custom_id: null, error: { code: 'batch_cancelled', message: 'cancelled' } });
    expect(rowsOf(refused, asked)).toMatchObject([{ answer: null, error: 'too long', ...asked }]);
    expect(rowsOf(cancelled, asked)).toMatchObject([{ custom_id: null, answer: null, error: 'cancelled' }]);
  });

  it('know what was asked from the lines that submit writes, and nothing of other lines', () => {
    const [line] = questionLines([{ name: 'lease.pdf', fileId: 'file-1' }], ['Who?'], {
      model: 'm',
      maxTokens: 8,
      temperature: 0,
      system: 'Be short.',
    });
    expect(askedBy(line!)).toEqual({ customId: 'lease.pdf#1', asked: { fileId: 'file-1', question: 'Who?' } });
    for (const other of ['no JSON', '{}', '{"custom_id":"a","body":{"messages":[{"role":"user","content":"Hi"}]}}']) {
      expect(askedBy(other)).toBeUndefined();
    }
  });
});

describe('formats', () => {
  const rows = [
    ...rowsOf(answered(['Line one,\nline two\u001b[31m']), asked),
    ...rowsOf(failed({ error: { message: 'late' } }), { document: null, question: null }),
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
        'lease.pdf#1,lease.pdf,"Who, ""exactly""?",0,"Line one,\nline two\u001b[31m",stop,90,7,\r\n' +
        'x,,,0,,,,,late\r\n',
    );
  });

  it('let no answer touch the terminal', async () => {
    expect(await written('text', rows)).toBe(
      'lease.pdf\n  Who, "exactly"?\n    Line one, line two\n  x\n    failed: late\n',
    );
  });
});
