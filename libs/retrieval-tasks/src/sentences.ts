/** Words whose full stop ends no sentence; single capitals (initials, `U. S. C.`) neither. */
const ABBREVIATIONS = 'Mr|Mrs|Dr|Jr|St|No|Nos|Inc|Co|Corp|Ltd|Cf|cf|v|vs|Id|Stat|Rev|Ann|Ed|ed|supp|Supp';
const SENTENCE_END = new RegExp(`(?<=(?<!\\b(?:[A-Z]|${ABBREVIATIONS}))[.?!]["”’)]?)\\s+(?=["“‘(]?[A-Z])`);
/** Shorter pieces are headings, citations and signatures: they stay with what follows. */
const FEWEST_WORDS = 6;

/** Sentences of `document` in order, white space inside them made single spaces. */
export function sentences(document: string): string[] {
  const found: string[] = [];
  let held = '';
  for (const piece of document.split(SENTENCE_END)) {
    held = `${held} ${piece}`.replace(/\s+/g, ' ').trim();
    if (held.split(' ').length < FEWEST_WORDS) continue;
    found.push(held);
    held = '';
  }
  if (held !== '') found.push(held);
  return found;
}
