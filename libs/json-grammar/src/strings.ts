import {
  all,
  any,
  type CodeRange,
  complement,
  type Expr,
  LAST_ASCII,
  LAST_CODE_POINT,
  oneOf,
  repeat,
  rule,
  set,
  text,
} from './grammar.js';

/** Characters that stand for themselves in a JSON string: no control characters, quotes or backslashes. */
const PLAIN: readonly CodeRange[] = [
  [0x20, 0x21],
  [0x23, 0x5b],
  [0x5d, LAST_CODE_POINT],
];
/** Characters beyond ASCII that are listed one by one. */
const MAX_LISTED = 256;
/** Code points that have a short escape, and its letter. */
const ESCAPES: ReadonlyMap<number, string> = new Map([
  [0x22, '"'],
  [0x5c, '\\'],
  [0x0a, 'n'],
  [0x0d, 'r'],
  [0x09, 't'],
  [0x08, 'b'],
  [0x0c, 'f'],
]);

const HEX = oneOf('0123456789abcdefABCDEF');

/** One character of a JSON string that stands for itself. */
export const CHARACTER: Expr = set(...PLAIN);

/** A JSON string of such characters. */
export function quoted(characters: Expr): Expr {
  return all(text('"'), characters, text('"'));
}

/** Any JSON string; a rule, which is one of `STRING_RULES`. */
export const STRING = rule('string');

/**
 * The rest of a string, as a rule that ends in itself: XGrammar knows beforehand which of a vocabulary's tokens may stand
 * there. With `(character | escape)*` it would look at all of them after every token, which takes a hundred times as long.
 */
export const STRING_RULES: ReadonlyMap<string, Expr> = new Map([
  ['string', all(text('"'), rule('characters'))],
  [
    'characters',
    any(text('"'), all(CHARACTER, rule('characters')), all(text('\\'), rule('escape'), rule('characters'))),
  ],
  [
    'escape',
    any(
      oneOf('"\\/bfnrt'),
      all(
        text('u'),
        any(
          all(oneOf('0123456789abcefABCEF'), HEX, HEX, HEX),
          all(oneOf('dD'), oneOf('01234567'), HEX, HEX),
          // Both halves of a character beyond U+FFFF, or none.
          all(oneOf('dD'), oneOf('89abAB'), HEX, HEX, text('\\u'), oneOf('dD'), oneOf('cdefCDEF'), HEX, HEX),
        ),
      ),
    ),
  ],
]);

/** Strings of so many characters (code points), none of them escaped. */
export const stringsOfLength = (min: number, max: number | undefined): Expr => quoted(repeat(CHARACTER, min, max));

/**
 * One character out of these ranges, escaped only where none of them stands for itself. Undefined where there is none, as of
 * control characters that have no short escape, and of large parts of what lies beyond ASCII. Of nearly all that lies
 * beyond it only ASCII is left.
 */
export function characterOf(ranges: readonly CodeRange[]): Expr | undefined {
  const plain = intersection(ranges, PLAIN);
  const ascii = intersection(plain, [[0, LAST_ASCII]]);
  const beyond = intersection(plain, BEYOND);
  const count = beyond.reduce((sum, [from, to]) => sum + to - from + 1, 0);
  if (count === LAST_CODE_POINT - LAST_ASCII) return set(...ascii, ...BEYOND);
  if (count > MAX_LISTED && count < LAST_CODE_POINT / 2) return undefined;
  const listed = count > MAX_LISTED ? [] : beyond.flatMap(pointsOf).map((point) => text(String.fromCodePoint(point)));
  const options = [...(ascii.length > 0 ? [set(...ascii)] : []), ...listed];
  if (options.length > 0) return any(...options);
  const letters = [...ESCAPES].filter(([point]) => ranges.some(([from, to]) => from <= point && point <= to));
  return letters.length > 0 ? all(text('\\'), oneOf(letters.map(([, letter]) => letter).join(''))) : undefined;
}

const BEYOND: readonly CodeRange[] = [[LAST_ASCII + 1, LAST_CODE_POINT]];

const pointsOf = ([from, to]: CodeRange): number[] => Array.from({ length: to - from + 1 }, (_, i) => from + i);

/** What is in both, each point once. */
const intersection = (a: readonly CodeRange[], b: readonly CodeRange[]): CodeRange[] =>
  complement([...complement(a), ...complement(b)]);

/**
 * Strings that are none of those names, written without escapes, so that no name can be spelt otherwise.
 * @param define gives a part of the grammar a name of its own
 */
export function otherStrings(names: readonly string[], define: (expr: Expr) => Expr): Expr {
  const rest = define(repeat(set(...PLAIN), 0));
  const from = (node: NameTree): Expr => {
    const next = [...node.next].sort(([a], [b]) => a - b);
    const taken = next.map(([point]): CodeRange => [point, point]);
    const others = intersection(
      PLAIN,
      complement(taken.some(([point]) => point > LAST_ASCII) ? [...taken, ...BEYOND] : taken),
    );
    const options = [
      all(set(...others), rest),
      ...next.map(([point, child]) => all(characterOf([[point, point]])!, from(child))),
    ];
    return define(any(...(node.isName ? [] : [text('')]), ...options));
  };
  return quoted(from(treeOf(names)));
}

/** Names by their characters. */
interface NameTree {
  isName: boolean;
  readonly next: Map<number, NameTree>;
}

function treeOf(names: readonly string[]): NameTree {
  const root: NameTree = { isName: false, next: new Map() };
  for (const name of names) {
    const points = [...name].map((character) => character.codePointAt(0)!);
    // Such a name has an escape, which the others cannot have.
    if (!points.every((point) => PLAIN.some(([from, to]) => from <= point && point <= to))) continue;
    let node = root;
    for (const point of points) {
      let child = node.next.get(point);
      if (!child) {
        child = { isName: false, next: new Map() };
        node.next.set(point, child);
      }
      node = child;
    }
    node.isName = true;
  }
  return root;
}
