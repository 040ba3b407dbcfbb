import { all, any, type CodeRange, EMPTY, type Expr, optional, repeat, set, text } from './grammar.js';

/** Decimal numbers of so many digits are all different doubles (IEEE 754). */
const EXACT_DIGITS = 15;
/** Of a fraction, where no bound has more. */
const FRACTION_DIGITS = 6;
/** Multiples that are listed one by one. */
const MAX_MULTIPLES = 1000;

/** A bound of a number. */
export interface Bound {
  readonly value: number;
  readonly exclusive: boolean;
}

export interface NumberBounds {
  readonly min?: Bound | undefined;
  readonly max?: Bound | undefined;
  readonly multipleOf?: number | undefined;
}

/** Why numbers of these bounds cannot be written; the field that is at fault, the problem as the end of a sentence. */
export class NumberBoundsError extends Error {
  override readonly name = 'NumberBoundsError';
  constructor(
    readonly field: 'min' | 'max' | 'multipleOf',
    readonly problem: string,
  ) {
    super(problem);
  }
}

/** A bound that is not negative, in decimal. */
interface Limit {
  /** Without leading zeros. */
  readonly whole: string;
  /** Without zeros at its end. */
  readonly fraction: string;
  readonly exclusive: boolean;
}

const FROM_ZERO: Limit = { whole: '0', fraction: '', exclusive: false };

const ZERO = 0x30;
const digit = (from: number, to: number): CodeRange => [ZERO + from, ZERO + to];
const digits = (min: number, max: number): Expr => (max === 0 ? EMPTY : repeat(set(digit(0, 9)), min, max));
const MINUS = text('-');
const POINT = text('.');

/** Any integer that a double holds exactly. */
export const ANY_INTEGER: Expr = all(
  optional(MINUS),
  any(text('0'), all(set(digit(1, 9)), digits(0, EXACT_DIGITS - 1))),
);

/** Any number; exponents of two digits at most, as longer ones may be infinite. */
export const ANY_NUMBER: Expr = all(
  ANY_INTEGER,
  optional(all(POINT, digits(1, EXACT_DIGITS))),
  optional(all(any(text('e'), text('E')), optional(any(text('+'), MINUS)), digits(1, 2))),
);

/**
 * The numbers within bounds, written without exponent.
 * @throws NumberBoundsError also where there are none
 */
export function numbersWithin(bounds: NumberBounds, integer: boolean): Expr {
  const { multipleOf } = bounds;
  const decimals = multipleOf === undefined ? undefined : decimalsOf(multipleOf);
  if (multipleOf !== undefined && decimals === undefined) return multiplesWithin(bounds, multipleOf, integer);
  const { min, max } = integer || decimals === 0 ? wholeBounds(bounds) : bounds;
  const fraction = integer || decimals === 0 ? 0 : fractionDigits(min, max, decimals);
  const above =
    max === undefined || max.value >= 0
      ? between(min && min.value >= 0 ? limitOf(min) : FROM_ZERO, max && limitOf(max), fraction)
      : undefined;
  const below =
    min === undefined || min.value < 0
      ? between(max && max.value < 0 ? limitOf(max) : { ...FROM_ZERO, exclusive: true }, min && limitOf(min), fraction)
      : undefined;
  const options = [...(above ? [above] : []), ...(below ? [all(MINUS, below)] : [])];
  if (options.length === 0) throw new NumberBoundsError('min', 'leaves no number that may be written');
  return any(...options);
}

/** Numbers from `low` to `high`, neither negative. */
function between(low: Limit, high: Limit | undefined, fraction: number): Expr | undefined {
  const longest = high?.whole.length ?? Math.max(EXACT_DIGITS, low.whole.length);
  const options: Expr[] = [];
  for (let length = low.whole.length; length <= longest; length++) {
    const lower = length === low.whole.length ? low : undefined;
    const upper = length === high?.whole.length ? high : undefined;
    const numbers = wholeDigits(length, lower, upper, fraction, length > 1 ? 1 : 0);
    if (numbers) options.push(numbers);
  }
  return options.length > 0 ? any(...options) : undefined;
}

/** Digits before the point and what follows; of limits only what is left of them counts, none: they cannot be missed any more. */
function wholeDigits(
  left: number,
  low: Limit | undefined,
  high: Limit | undefined,
  fraction: number,
  first = 0,
): Expr | undefined {
  if (left === 0) {
    const { end, more } = fractionOf(low, high, fraction);
    const point = more && all(POINT, more);
    return end ? (point ? optional(point) : EMPTY) : point;
  }
  return byDigit(low?.whole, high?.whole, first, (lower, upper) => {
    const lows = lower && low ? { ...low, whole: low.whole.slice(1) } : undefined;
    const highs = upper && high ? { ...high, whole: high.whole.slice(1) } : undefined;
    if (lows || highs) return wholeDigits(left - 1, lows, highs, fraction);
    return all(digits(left - 1, left - 1), wholeDigits(0, undefined, undefined, fraction)!);
  });
}

/** Digits after the point: whether there may be none, and what else there may be. */
function fractionOf(low: Limit | undefined, high: Limit | undefined, left: number): { end: boolean; more?: Expr } {
  const reached = low === undefined || (low.fraction === '' && !low.exclusive);
  const end = reached && !(high?.fraction === '' && high.exclusive);
  if (left === 0) return { end };
  if (reached && !high) return { end, more: digits(1, left) };
  const more = byDigit(low?.fraction.padEnd(1, '0'), high?.fraction.padEnd(1, '0'), 0, (lower, upper) => {
    const lows = lower && low ? { ...low, fraction: low.fraction.slice(1) } : undefined;
    const highs = upper && high ? { ...high, fraction: high.fraction.slice(1) } : undefined;
    const rest = fractionOf(lows, highs, left - 1);
    return rest.end ? (rest.more ? optional(rest.more) : EMPTY) : rest.more;
  });
  return more ? { end, more } : { end };
}

/**
 * The next digit, from that of `low` to that of `high`, and after each of them what `rest` says of it: whether it is the
 * lower limit's own, and the upper one's. Digits that are neither go together.
 */
function byDigit(
  low: string | undefined,
  high: string | undefined,
  first: number,
  rest: (isLow: boolean, isHigh: boolean) => Expr | undefined,
): Expr | undefined {
  const least = low === undefined ? -1 : Number(low[0]);
  const most = high === undefined ? 10 : Number(high[0]);
  const options: Expr[] = [];
  const own = (digit: number): void => {
    const tail = rest(digit === least, digit === most);
    if (digit >= first && tail) options.push(all(text(String(digit)), tail));
  };
  if (least >= 0 && least <= most) own(least);
  const [from, to] = [Math.max(first, least + 1), Math.min(9, most - 1)];
  const tail = from <= to ? rest(false, false) : undefined;
  if (tail) options.push(all(set(digit(from, to)), tail));
  if (most <= 9 && most > least) own(most);
  return options.length > 0 ? any(...options) : undefined;
}

/** All of them, one by one. */
function multiplesWithin({ min, max }: NumberBounds, multipleOf: number, integer: boolean): Expr {
  const few = new NumberBoundsError(
    'multipleOf',
    `is supported for 1, 0.1, 0.01 and so on, and where minimum and maximum leave at most ${MAX_MULTIPLES} multiples`,
  );
  if (!min || !max) throw few;
  const parts = [multipleOf, min.value, max.value].map((value) => decimal(value));
  const scale = Math.max(...parts.map(({ fraction }) => fraction.length));
  const [step, lowest, highest] = parts.map(({ negative, whole, fraction }) =>
    BigInt(`${negative ? '-' : ''}${whole}${fraction.padEnd(scale, '0')}`),
  ) as [bigint, bigint, bigint];
  const inside = (value: bigint): boolean =>
    (min.exclusive ? value > lowest : value >= lowest) && (max.exclusive ? value < highest : value <= highest);
  if ((highest - lowest) / step > MAX_MULTIPLES) throw few;
  const found: Expr[] = [];
  for (let value = (lowest / step - 1n) * step; value <= highest; value += step) {
    const text = scaled(value, scale);
    if (inside(value) && !(integer && text.includes('.'))) found.push({ kind: 'text', text });
  }
  if (found.length === 0) throw new NumberBoundsError('multipleOf', 'has no multiple between minimum and maximum');
  return any(...found);
}

function scaled(value: bigint, scale: number): string {
  const sign = value < 0n ? '-' : '';
  const all = String(value < 0n ? -value : value).padStart(scale + 1, '0');
  const fraction = all.slice(all.length - scale).replace(/0+$/, '');
  return `${sign}${all.slice(0, all.length - scale)}${fraction === '' || scale === 0 ? '' : `.${fraction}`}`;
}

/** The bounds of the integers between. */
function wholeBounds({ min, max }: NumberBounds): NumberBounds {
  const least = min && (min.exclusive ? Math.floor(min.value) + 1 : Math.ceil(min.value));
  const most = max && (max.exclusive ? Math.ceil(max.value) - 1 : Math.floor(max.value));
  const check = (field: 'min' | 'max', value: number | undefined): Bound | undefined => {
    if (value === undefined) return undefined;
    if (!Number.isSafeInteger(value)) throw new NumberBoundsError(field, 'must be from -2^53 + 1 to 2^53 - 1');
    return { value: value === 0 ? 0 : value, exclusive: false };
  };
  return { min: check('min', least), max: check('max', most) };
}

/** So many that no two numbers near a bound are the same double. */
function fractionDigits(min: Bound | undefined, max: Bound | undefined, decimals: number | undefined): number {
  let room = EXACT_DIGITS;
  let needed = 0;
  for (const [field, bound] of [['min', min] as const, ['max', max] as const]) {
    if (!bound) continue;
    const { whole, fraction } = decimal(bound.value);
    if (whole.length + fraction.length > EXACT_DIGITS) {
      throw new NumberBoundsError(field, `must be a number of at most ${EXACT_DIGITS} digits`);
    }
    room = Math.min(room, EXACT_DIGITS - whole.length);
    needed = Math.max(needed, fraction.length);
  }
  if (needed > room) throw new NumberBoundsError('max', 'must not be so much larger than the smaller bound is exact');
  return decimals ?? Math.max(needed, Math.min(room, FRACTION_DIGITS));
}

const limitOf = ({ value, exclusive }: Bound): Limit => ({ ...decimal(value), exclusive });

/** How many decimals the multiples of 1, 0.1, 0.01 ... have; undefined for other numbers. */
function decimalsOf(multipleOf: number): number | undefined {
  const { whole, fraction } = decimal(multipleOf);
  if (whole === '1' && fraction === '') return 0;
  return whole === '0' && /^0*1$/.test(fraction) && fraction.length <= EXACT_DIGITS ? fraction.length : undefined;
}

/** A finite number in decimal, without exponent. */
function decimal(value: number): { negative: boolean; whole: string; fraction: string } {
  const [mantissa, exponent = '0'] = String(Math.abs(value)).split('e') as [string, string?];
  const [before, after = ''] = mantissa.split('.') as [string, string?];
  const shift = Number(exponent);
  const point = before.length + shift;
  const all = `${'0'.repeat(Math.max(0, -point))}${before}${after}`.padEnd(point, '0');
  const at = Math.max(0, point);
  return {
    negative: value < 0,
    whole: all.slice(0, at).replace(/^0+(?=.)/, '') || '0',
    fraction: all.slice(at).replace(/0+$/, ''),
  };
}
