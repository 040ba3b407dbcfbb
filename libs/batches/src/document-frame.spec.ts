import { describe, expect, it } from 'vitest';
import { fillFrame, frameDocument } from './document-frame.js';
import type { PartedMessage } from './documents.js';

const LONG = 'A long document.\n\nWith two paragraphs, and a few words more.';
const file = (text: string) => ({ text, isFile: true });
const said = (text: string) => ({ text, isFile: false });
const user = (...parts: PartedMessage['parts']): PartedMessage => ({ role: 'user', parts });
const framed = (...messages: PartedMessage[]) => {
  const { frame, document, isAsked } = frameDocument(messages, 40);
  return { document, isAsked, filled: fillFrame(frame, '[D]') };
};

describe('frameDocument', () => {
  it('takes the longest part for the document, wherever it is', () => {
    expect(
      framed({ role: 'system', parts: [said('Be brief.')] }, user(said('Read:'), file(LONG), said('Who?'))),
    ).toEqual({
      document: LONG,
      isAsked: true,
      filled: [
        { role: 'system', content: 'Be brief.' },
        { role: 'user', content: 'Read:\n\n[D]\n\nWho?' },
      ],
    });
    expect(framed({ role: 'system', parts: [said(LONG)] }, user(said('Who?')))).toEqual({
      document: LONG,
      isAsked: true,
      filled: [
        { role: 'system', content: '[D]' },
        { role: 'user', content: 'Who?' },
      ],
    });
  });

  it('takes the last paragraph of a lone text for the question', () => {
    expect(framed(user(said(`${LONG}\n \n\nWho pays?\n`)))).toEqual({
      document: LONG,
      isAsked: true,
      filled: [{ role: 'user', content: '[D]\n \n\nWho pays?\n' }],
    });
  });

  it('takes no paragraph that is too long for a question, nor one of a file or beside another text', () => {
    const none = `${'word '.repeat(20)}\n\n${'word '.repeat(10)}`;
    expect(framed(user(said(none)))).toMatchObject({ document: none, isAsked: false });
    expect(framed(user(said('One paragraph only, without any border.')))).toMatchObject({ isAsked: false });
    expect(framed(user(file(`${LONG}\n\nWho?`)))).toMatchObject({ document: `${LONG}\n\nWho?`, isAsked: false });
    const system: PartedMessage = { role: 'system', parts: [said('Summarise.')] };
    expect(framed(system, user(file(LONG)))).toMatchObject({ document: LONG, isAsked: true });
    expect(framed(user(said(`${LONG}\n\nEnd.`), said('Who?')))).toMatchObject({ document: `${LONG}\n\nEnd.` });
  });
});
