import { ApiError } from '@app/batches';
import { describe, expect, it } from 'vitest';
import { checkOptions, jobLines } from './job-lines.js';
import { parseDocuments, parsePairs, parseQuestions } from './job-parts.js';

const errorOf = (call: () => unknown): ApiError => {
  try {
    call();
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('nothing was thrown');
};

describe('the parts of a job', () => {
  it('are read from their short and their long forms', () => {
    const documents = parseDocuments([
      'file-1',
      { id: 'lease', file_id: 'file-1' },
      { text: 'A text.' },
      { filename: 'a.pdf', file_data: 'data:application/pdf;base64,JVBERg==', id: null, text: null },
    ]);
    expect(documents).toEqual([
      { id: 'file-1', source: { fileId: 'file-1' } },
      { id: 'lease', source: { fileId: 'file-1' } },
      { id: 'document-3', source: { filename: 'document-3', bytes: Buffer.from('A text.') } },
      { id: 'a.pdf', source: { filename: 'a.pdf', bytes: Buffer.from('%PDF') } },
    ]);
    expect(parseQuestions(['Who?', { id: 'why', text: 'Why?' }])).toEqual([
      { id: '1', text: 'Who?' },
      { id: 'why', text: 'Why?' },
    ]);
    expect(parsePairs(undefined, 2, 2)).toEqual([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    expect(parsePairs([[1, 0]], 2, 1)).toEqual([[1, 0]]);
  });

  it('name the entry that is wrong', () => {
    const wrong: [call: () => unknown, param: string, says: RegExp][] = [
      [() => parseDocuments(undefined), 'documents', /Missing required parameter/],
      [() => parseDocuments([]), 'documents', /at least one/],
      [() => parseDocuments('file-1'), 'documents', /must be a list/],
      [() => parseDocuments([7]), 'documents[0]', /must be the id of a file, or an object/],
      [() => parseDocuments(['a', 'a']), 'documents[1]', /'a' is there twice/],
      [() => parseDocuments([{ id: 'a' }]), 'documents[0]', /one of file_id, text and file_data/],
      [() => parseDocuments([{ text: 'a', file_id: 'b' }]), 'documents[0]', /one of/],
      [() => parseDocuments([{ text: 'a', filename: 'b' }]), 'documents[0].filename', /belongs to file_data/],
      [() => parseDocuments([{ text: 'a', url: 'b' }]), 'documents[0].url', /Unrecognized/],
      [() => parseDocuments([{ file_data: 'größer' }]), 'documents[0].file_data', /base64/],
      [() => parseDocuments(['']), 'documents[0]', /1 to 255/],
      [
        () => parseDocuments([{ id: 'a', file_data: 'YQ==', filename: { toString: 1 } }]),
        'documents[0].filename',
        /1 to 255/,
      ],
      [() => parseQuestions(['a', ' ']), 'questions[1]', /not empty/],
      [() => parseQuestions([{ id: 'a#b', text: 'a' }]), 'questions[0].id', /without '#'/],
      [() => parseQuestions([{ id: '2', text: 'a' }, 'b']), 'questions[1]', /twice/],
      [() => parsePairs([[0, 2]], 1, 2), 'pairs[0]', /from 0 to 0 and from 0 to 1/],
      [
        () =>
          parsePairs(
            [
              [0, 0],
              [0, 0],
            ],
            1,
            1,
          ),
        'pairs[1]',
        /twice/,
      ],
      [
        () => checkOptions({ model: 'm', options: { temperature: 9 } }),
        'options.temperature',
        /'options\.temperature'/,
      ],
      [() => checkOptions({ model: 'm', options: { messages: [] } }), 'options.messages', /the job itself/],
      [() => checkOptions({ model: 'm', options: { colour: 1 } }), 'options.colour', /Unrecognized/],
    ];
    for (const [call, param, says] of wrong) {
      const error = errorOf(call);
      expect({ status: error.status, param: error.param, message: error.message }).toEqual({
        status: 400,
        param,
        message: expect.stringMatching(says),
      });
    }
  });

  it('become lines of a batch file', () => {
    const job = { model: 'm', system: 'Be short.', options: { temperature: 0 } };
    const lines = [...jobLines([{ id: 'lease', fileId: 'file-1' }], [{ id: 'who', text: 'Who?' }], [[0, 0]], job)];
    expect(lines).toHaveLength(1);
    expect(JSON.parse(lines[0]!)).toEqual({
      custom_id: 'lease#who',
      method: 'POST',
      url: '/v1/chat/completions',
      body: {
        model: 'm',
        temperature: 0,
        messages: [
          { role: 'system', content: 'Be short.' },
          {
            role: 'user',
            content: [
              { type: 'file', file: { file_id: 'file-1' } },
              { type: 'text', text: 'Who?' },
            ],
          },
        ],
      },
    });
  });
});
