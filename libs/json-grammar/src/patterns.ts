import { all, any, type CodeRange, complement, EMPTY, type Expr, repeat } from './grammar.js';
import { CHARACTER, characterOf } from './strings.js';

/** Groups in groups. */
const MAX_DEPTH = 20;

/** A regular expression that cannot be decoded by; the problem as the end of a sentence. */
export class PatternError extends Error {
  override readonly name = 'PatternError';
}

const DIGITS: readonly CodeRange[] = [[0x30, 0x39]];
const WORD: readonly CodeRange[] = [...DIGITS, [0x41, 0x5a], [0x5f, 0x5f], [0x61, 0x7a]];
/** ECMA-262: WhiteSpace and LineTerminator. */
const SPACE: readonly CodeRange[] = [
  [0x09, 0x0d],
  [0x20, 0x20],
  [0xa0, 0xa0],
  [0x1680, 0x1680],
  [0x2000, 0x200a],
  [0x2028, 0x2029],
  [0x202f, 0x202f],
  [0x205f, 0x205f],
  [0x3000, 0x3000],
  [0xfeff, 0xfeff],
];
/** U+2028 and U+2029, which end lines too, are taken in: without them it would be ASCII only. */
const NO_LINE_END = complement([
  [0x0a, 0x0a],
  [0x0d, 0x0d],
]);
const CLASSES: Readonly<Record<string, readonly CodeRange[]>> = {
  d: DIGITS,
  D: complement(DIGITS),
  w: WORD,
  W: complement(WORD),
  s: SPACE,
  S: complement(SPACE),
};
const CONTROLS: Readonly<Record<string, number>> = { n: 0x0a, r: 0x0d, t: 0x09, v: 0x0b, f: 0x0c, 0: 0x00 };

/**
 * The characters of JSON strings that match a regular expression (ECMA-262), what is not anchored anywhere in the string.
 * @throws PatternError for what is no regular language, and for what would take too long
 */
export function matching(pattern: string): Expr {
  try {
    new RegExp(pattern, 'u');
  } catch (error) {
    throw new PatternError(`must be a regular expression: ${(error as Error).message.slice(0, 200)}`);
  }
  const parser = new PatternParser(pattern);
  return parser.read();
}

/** Reads a valid pattern. */
class PatternParser {
  private at = 0;
  private readonly points: readonly string[];

  constructor(pattern: string) {
    this.points = [...pattern];
  }

  read(): Expr {
    const anywhere = repeat(CHARACTER, 0);
    const options: Expr[] = [];
    do {
      const before = this.take('^') ? [] : [anywhere];
      const found = this.sequence(0);
      const after = this.take('$') ? [] : [anywhere];
      options.push(all(...before, found, ...after));
    } while (this.take('|'));
    if (this.at < this.points.length)
      throw new PatternError("has '^' or '$' elsewhere than at its beginning or end, which is not supported");
    return any(...options);
  }

  /** Up to the end of the alternative. */
  private sequence(depth: number): Expr {
    if (depth > MAX_DEPTH) throw new PatternError(`must not have groups nested more than ${MAX_DEPTH} deep`);
    const parts: Expr[] = [];
    for (let next = this.peek(); next !== undefined && !'|)^$'.includes(next); next = this.peek()) {
      parts.push(this.quantified(this.atom(depth)));
    }
    return parts.length === 0 ? EMPTY : all(...parts);
  }

  private atom(depth: number): Expr {
    const next = this.points[this.at++]!;
    if (next === '(') return this.group(depth);
    if (next === '[') return this.encoded(this.characterClass());
    if (next === '.') return this.encoded(NO_LINE_END);
    if (next === '\\') return this.encoded(this.escape());
    return this.encoded([point(next)]);
  }

  private group(depth: number): Expr {
    if (this.take('?') && !this.take(':')) {
      if (!this.take('<') || '=!'.includes(this.peek()!)) {
        throw new PatternError('looks ahead or behind, which is not supported');
      }
      while (this.points[this.at++] !== '>');
    }
    const options = [this.sequence(depth + 1)];
    while (this.take('|')) options.push(this.sequence(depth + 1));
    if (!this.take(')')) throw new PatternError("has '^' or '$' in a group, which is not supported");
    return any(...options);
  }

  private quantified(atom: Expr): Expr {
    const [min, max] = this.quantifier() ?? [1, 1];
    // Lazy or not, the same strings match.
    if (min !== 1 || max !== 1) this.take('?');
    if (atom.kind === 'repeat' && max !== 1) {
      throw new PatternError('repeats a repetition, which would take too long to decode by. Use one of the two');
    }
    return repeat(atom, min, max);
  }

  private quantifier(): [number, number | undefined] | undefined {
    if (this.take('*')) return [0, undefined];
    if (this.take('+')) return [1, undefined];
    if (this.take('?')) return [0, 1];
    if (!this.take('{')) return undefined;
    let inside = '';
    for (let next = this.points[this.at++]!; next !== '}'; next = this.points[this.at++]!) inside += next;
    const [min, max] = inside.split(',') as [string, string?];
    return [Number(min), max === undefined ? Number(min) : max === '' ? undefined : Number(max)];
  }

  private characterClass(): readonly CodeRange[] {
    const negated = this.take('^');
    const ranges: CodeRange[] = [];
    while (!this.take(']')) {
      const first = this.classMember();
      if (
        first.length === 1 &&
        first[0]![0] === first[0]![1] &&
        this.peek() === '-' &&
        this.points[this.at + 1] !== ']'
      ) {
        this.at++;
        const [[to]] = this.classMember() as [CodeRange];
        ranges.push([first[0]![0], to]);
      } else ranges.push(...first);
    }
    return negated ? complement(ranges) : ranges;
  }

  private classMember(): readonly CodeRange[] {
    const next = this.points[this.at++]!;
    if (next !== '\\') return [point(next)];
    if (this.take('b')) return [[0x08, 0x08]];
    return this.escape();
  }

  /** What follows a backslash. */
  private escape(): readonly CodeRange[] {
    const letter = this.points[this.at++]!;
    const known = Object.hasOwn(CLASSES, letter) ? CLASSES[letter] : undefined;
    if (known) return known;
    if (Object.hasOwn(CONTROLS, letter)) return [[CONTROLS[letter]!, CONTROLS[letter]!]];
    if (letter === 'x') return [this.hex(2)];
    if (letter === 'u') return [this.unicode()];
    if (letter === 'c') {
      const control = this.points[this.at++]!.codePointAt(0)! % 32;
      return [[control, control]];
    }
    if (/[A-Za-z0-9]/.test(letter)) throw new PatternError(`has '\\${letter}', which is not supported`);
    return [point(letter)];
  }

  private unicode(): CodeRange {
    if (this.take('{')) {
      let digits = '';
      for (let next = this.points[this.at++]!; next !== '}'; next = this.points[this.at++]!) digits += next;
      return [Number.parseInt(digits, 16), Number.parseInt(digits, 16)];
    }
    const [first] = this.hex(4);
    const rest = this.points.slice(this.at, this.at + 6).join('');
    if (first < 0xd800 || first > 0xdbff || !/^\\u[dD][c-fC-F]/.test(rest)) return [first, first];
    this.at += 2;
    const [second] = this.hex(4);
    const whole = String.fromCharCode(first, second).codePointAt(0)!;
    return [whole, whole];
  }

  private hex(digits: number): CodeRange {
    const value = Number.parseInt(this.points.slice(this.at, this.at + digits).join(''), 16);
    this.at += digits;
    return [value, value];
  }

  private encoded(ranges: readonly CodeRange[]): Expr {
    const expr = characterOf(ranges);
    if (expr) return expr;
    throw new PatternError(
      'has characters that no answer can have: control characters, none at all, or a long range beyond ASCII',
    );
  }

  private peek(): string | undefined {
    return this.points[this.at];
  }

  private take(character: string): boolean {
    if (this.points[this.at] !== character) return false;
    this.at++;
    return true;
  }
}

const point = (character: string): CodeRange => [character.codePointAt(0)!, character.codePointAt(0)!];
