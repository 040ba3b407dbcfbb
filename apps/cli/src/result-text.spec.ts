import { expect, it } from 'vitest';
import { resultText } from './result-text.js';

it('shows documents, questions and answers, and lets none of them touch the terminal', async () => {
  const rows = [
    { document: 'lease.pdf', question: 'Who?', answer: 'Line one,\nline\u2028two\u001b[31m', error: null },
    {
      document: 'lease.pdf',
      question: 'A question of many words?',
      answer: 'Größe',
      finish_reason: 'length',
      error: null,
    },
    { custom_id: 'x', document: null, question: null, answer: null, error: 'late' },
  ];
  const bytes = Buffer.from(rows.map((row) => `${JSON.stringify(row)}\n`).join(''));
  const chunks = (async function* () {
    // Cuts lines and characters wherever it likes.
    for (let i = 0; i < bytes.length; i += 7) yield bytes.subarray(i, i + 7);
  })();
  let text = '';
  for await (const piece of resultText(chunks, 20)) text += piece;
  expect(text).toBe(
    'lease.pdf\n  Who?\n    Line one, line\n    two\n  A question of many\n  words?\n    Größe …\n  x\n    failed: late\n',
  );
});
