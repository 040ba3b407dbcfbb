import { createHash } from 'node:crypto';
import type { TextMessage } from './documents.js';

const FIRST_RUNG_CHARACTERS = 64;
/** Each rung is so much longer than the one before. */
const RUNG_RATIO = 1.25;
const HASH_BYTES = 6;

/**
 * A short key that sorts chats by how they begin: hashes of ever longer beginnings of their text, in order. Chats that share
 * a long beginning have a long beginning of the key in common and sort next to each other, whatever follows. It only
 * nominates; token ids decide. At most a few hundred bytes, so that a batch's keys fit in memory.
 */
export function textLadder(messages: readonly TextMessage[]): string {
  const text = messages.map(({ role, content }) => `${role}\0${content}\0`).join('');
  let key = '';
  let previous = Buffer.alloc(0);
  let from = 0;
  for (let rung = FIRST_RUNG_CHARACTERS; from < text.length; rung = Math.ceil(rung * RUNG_RATIO)) {
    previous = createHash('sha1').update(previous).update(text.slice(from, rung)).digest().subarray(0, HASH_BYTES);
    key += previous.toString('latin1');
    from = rung;
  }
  return key;
}
