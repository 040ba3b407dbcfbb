/** A set of texts, built of smaller ones. */
export type Expr =
  | { readonly kind: 'text'; readonly text: string }
  /**
   * One character of these code points, ends included. Beyond ASCII there are all or none: XGrammar 0.1.27 takes the bounds
   * of other ranges for bytes.
   */
  | { readonly kind: 'set'; readonly ranges: readonly CodeRange[] }
  | { readonly kind: 'all'; readonly parts: readonly Expr[] }
  | { readonly kind: 'any'; readonly options: readonly Expr[] }
  | { readonly kind: 'repeat'; readonly of: Expr; readonly min: number; readonly max: number | undefined }
  | { readonly kind: 'rule'; readonly name: string };

export type CodeRange = readonly [from: number, to: number];

export const LAST_CODE_POINT = 0x10ffff;
export const LAST_ASCII = 0x7f;

/** Nothing, which everything may be followed by. */
export const EMPTY: Expr = { kind: 'text', text: '' };

export const text = (value: string): Expr => ({ kind: 'text', text: value });
export const rule = (name: string): Expr => ({ kind: 'rule', name });
export const set = (...ranges: readonly CodeRange[]): Expr => ({ kind: 'set', ranges });
/** One character of a list of characters. */
export const oneOf = (characters: string): Expr =>
  set(...[...characters].map((character) => [character.codePointAt(0)!, character.codePointAt(0)!] as const));
/** One after the other. */
export const all = (...parts: readonly Expr[]): Expr => (parts.length === 1 ? parts[0]! : { kind: 'all', parts });
/** One of them; at least one is needed. */
export const any = (...options: readonly Expr[]): Expr =>
  options.length === 1 ? options[0]! : { kind: 'any', options };
export const optional = (of: Expr): Expr => any(EMPTY, of);
/** @param max undefined: without end */
export const repeat = (of: Expr, min: number, max?: number): Expr => {
  if (max === 0) return EMPTY;
  return min === 1 && max === 1 ? of : { kind: 'repeat', of, min, max };
};

/** Named parts of a grammar, which may contain each other. */
export type Rules = ReadonlyMap<string, Expr>;

/** The rules as EBNF text for XGrammar; `root` is where it begins. */
export const printGrammar = (rules: Rules): string =>
  [...rules].map(([name, expr]) => `${name} ::= ${printExpr(expr)}\n`).join('');

/** The rules that can be reached from one, that one first. */
export function reachable(rules: Rules, from: string): Map<string, Expr> {
  const found = new Map<string, Expr>();
  const open = [from];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (found.has(name)) continue;
    const expr = rules.get(name);
    if (!expr) throw new Error(`the grammar has no rule '${name}'`);
    found.set(name, expr);
    open.push(...namesIn(expr));
  }
  return found;
}

/** A rule that is itself, by way of others, before anything is written; or one that leads to such a rule. */
export const aliasCycle = (rules: Rules): string | undefined =>
  unsettled(rules, aliases, (expr, settled) => aliases(expr).every(settled));

/** A rule that no text ends: it contains itself whatever is chosen; or one that leads to such a rule. */
export const endlessRule = (rules: Rules): string | undefined => unsettled(rules, namesIn, ends);

function ends(expr: Expr, settled: (name: string) => boolean): boolean {
  switch (expr.kind) {
    case 'rule':
      return settled(expr.name);
    case 'all':
      return expr.parts.every((part) => ends(part, settled));
    case 'any':
      return expr.options.some((option) => ends(option, settled));
    case 'repeat':
      return expr.min === 0 || ends(expr.of, settled);
    default:
      return true;
  }
}

/**
 * The first rule that never gets settled, as it depends on others that do not.
 * @param dependencies names that may settle it
 */
function unsettled(
  rules: Rules,
  dependencies: (expr: Expr) => readonly string[],
  isSettled: (expr: Expr, settled: (name: string) => boolean) => boolean,
): string | undefined {
  const dependents = new Map<string, string[]>();
  for (const [name, expr] of rules) {
    for (const dependency of new Set(dependencies(expr))) {
      dependents.set(dependency, [...(dependents.get(dependency) ?? []), name]);
    }
  }
  const settled = new Set<string>();
  const open = [...rules.keys()];
  for (let name = open.pop(); name !== undefined; name = open.pop()) {
    if (settled.has(name) || !isSettled(rules.get(name)!, (other) => settled.has(other))) continue;
    settled.add(name);
    open.push(...(dependents.get(name) ?? []));
  }
  return [...rules.keys()].find((name) => !settled.has(name));
}

/** Repetitions beyond this are counted, not written out (XGrammar 0.1.27). */
const WRITTEN_OUT = 128;
/** Of most characters there are, against which most tokens have to be tried. */
const WIDE = 1000;

/**
 * What a grammar costs once, when it is compiled: about as many times 10 ms with a vocabulary of 49,152 tokens, all of which
 * are tried at every place where a character of a set may stand.
 */
export function compileCost(expr: Expr): number {
  switch (expr.kind) {
    case 'text':
      return 0.005 * expr.text.length;
    case 'set':
      return expr.ranges.reduce((sum, [from, to]) => sum + to - from + 1, 0) > WIDE ? 3 : 0.7;
    case 'all':
      return expr.parts.reduce((sum, part) => sum + compileCost(part), 0);
    case 'any':
      return expr.options.reduce((sum, option) => sum + compileCost(option), 0);
    case 'repeat':
      return compileCost(expr.of) * Math.min(WRITTEN_OUT, Math.max(1, expr.max ?? expr.min + 1));
    case 'rule':
      return 0.05;
  }
}

/** Rules in an expression. */
function namesIn(expr: Expr): string[] {
  switch (expr.kind) {
    case 'rule':
      return [expr.name];
    case 'all':
      return expr.parts.flatMap(namesIn);
    case 'any':
      return expr.options.flatMap(namesIn);
    case 'repeat':
      return namesIn(expr.of);
    default:
      return [];
  }
}

/** Rules that are all there is of one choice. */
const aliases = (expr: Expr): string[] =>
  expr.kind === 'rule' ? [expr.name] : expr.kind === 'any' ? expr.options.flatMap(aliases) : [];

/** An expression as EBNF text. */
export function printExpr(expr: Expr): string {
  switch (expr.kind) {
    case 'text':
      return `"${[...expr.text].map(escaped).join('')}"`;
    case 'set':
      return printSet(expr.ranges);
    case 'all':
      return expr.parts.length === 0 ? '""' : expr.parts.map(grouped).join(' ');
    case 'any':
      return expr.options.map(printExpr).join(' | ');
    case 'repeat':
      return `${grouped(expr.of)}${times(expr.min, expr.max)}`;
    case 'rule':
      return expr.name;
  }
}

function printSet(ranges: readonly CodeRange[]): string {
  const print = (of: readonly CodeRange[]): string =>
    of.map(([from, to]) => (from === to ? inSet(from) : `${inSet(from)}-${inSet(to)}`)).join('');
  return ranges.some(([, to]) => to === LAST_CODE_POINT) ? `[^${print(complement(ranges))}]` : `[${print(ranges)}]`;
}

/** All other code points, in ascending order. */
export function complement(ranges: readonly CodeRange[]): CodeRange[] {
  const left: CodeRange[] = [];
  let from = 0;
  for (const [first, last] of [...ranges].sort(([a], [b]) => a - b)) {
    if (first > from) left.push([from, first - 1]);
    from = Math.max(from, last + 1);
  }
  if (from <= LAST_CODE_POINT) left.push([from, LAST_CODE_POINT]);
  return left;
}

/** In brackets where what stands beside it would be taken for a part of it. */
const grouped = (expr: Expr): string =>
  expr.kind === 'any' || expr.kind === 'all' || expr.kind === 'repeat' ? `(${printExpr(expr)})` : printExpr(expr);

function times(min: number, max: number | undefined): string {
  if (max === undefined) return min === 0 ? '*' : min === 1 ? '+' : `{${min},}`;
  return min === 0 && max === 1 ? '?' : `{${min},${max}}`;
}

const escaped = (character: string): string =>
  /[\w ,:{}[\].-]/.test(character) ? character : code(character.codePointAt(0)!);

const inSet = (point: number): string => {
  const character = String.fromCodePoint(point);
  return /[\dA-Za-z]/.test(character) ? character : code(point);
};

const code = (point: number): string =>
  point > 0xffff ? `\\U${point.toString(16).padStart(8, '0')}` : `\\u${point.toString(16).padStart(4, '0')}`;
