import { FORMATS } from './formats.js';
import type { Expr } from './grammar.js';
import { type Bound, NumberBoundsError, numbersWithin } from './numbers.js';
import { matching, PatternError } from './patterns.js';
import { SchemaError } from './schema-error.js';
import { quoted, stringsOfLength } from './strings.js';

const MAX_STRING_LENGTH = 10_000;

/** A JSON schema that is no boolean. */
export type Schema = Readonly<Record<string, unknown>>;

/**
 * The strings that a schema allows.
 * @throws SchemaError
 */
export function stringOf(schema: Schema, path: string): Expr {
  const { pattern, format } = schema;
  const min = count(schema, 'minLength', path, MAX_STRING_LENGTH);
  const max = count(schema, 'maxLength', path, MAX_STRING_LENGTH);
  const given = ['pattern', 'format', 'minLength', 'maxLength'].filter((name) => schema[name] !== undefined);
  if (pattern === undefined && format === undefined) {
    if (max !== undefined && (min ?? 0) > max)
      throw new SchemaError(`${path}.minLength`, "must be at most 'maxLength'");
    return stringsOfLength(min ?? 0, max);
  }
  if (given.length > 1) throw new SchemaError(`${path}.${given[1]}`, `must not stand beside '${given[0]}'`);
  if (format !== undefined) {
    const known = typeof format === 'string' && Object.hasOwn(FORMATS, format) ? FORMATS[format] : undefined;
    if (known === undefined) {
      throw new SchemaError(`${path}.format`, `must be one of ${Object.keys(FORMATS).join(', ')}`);
    }
    return quoted(matching(known));
  }
  if (typeof pattern !== 'string') throw new SchemaError(`${path}.pattern`, 'must be a regular expression, as text');
  try {
    return quoted(matching(pattern));
  } catch (error) {
    if (!(error instanceof PatternError)) throw error;
    throw new SchemaError(`${path}.pattern`, error.message);
  }
}

/**
 * The numbers that a schema allows.
 * @throws SchemaError
 */
export function numberOf(schema: Schema, type: 'number' | 'integer', path: string): Expr {
  const of = (name: string): number | undefined => {
    const value = schema[name];
    if (value === undefined) return undefined;
    if (typeof value !== 'number') throw new SchemaError(`${path}.${name}`, 'must be a number');
    return value;
  };
  const multipleOf = of('multipleOf');
  if (multipleOf !== undefined && multipleOf <= 0)
    throw new SchemaError(`${path}.multipleOf`, 'must be greater than 0');
  const min = tighter(of('minimum'), of('exclusiveMinimum'), 1);
  const max = tighter(of('maximum'), of('exclusiveMaximum'), -1);
  const empty = min && max && (min.value > max.value || (min.value === max.value && (min.exclusive || max.exclusive)));
  if (empty) throw new SchemaError(`${path}.${nameOf('min', min)}`, `leaves nothing below '${nameOf('max', max)}'`);
  try {
    return numbersWithin({ min, max, multipleOf }, type === 'integer');
  } catch (error) {
    if (!(error instanceof NumberBoundsError)) throw error;
    const { field } = error;
    const name = field === 'multipleOf' ? field : nameOf(field, field === 'min' ? (min ?? max) : (max ?? min));
    throw new SchemaError(`${path}.${name}`, error.problem);
  }
}

const nameOf = (field: 'min' | 'max', bound: Bound | undefined): string =>
  bound?.exclusive ? `exclusive${field === 'min' ? 'Minimum' : 'Maximum'}` : `${field}imum`;

/** @param sign 1: the larger bound counts, -1: the smaller */
function tighter(inclusive: number | undefined, exclusive: number | undefined, sign: 1 | -1): Bound | undefined {
  if (exclusive === undefined) return inclusive === undefined ? undefined : { value: inclusive, exclusive: false };
  if (inclusive !== undefined && sign * inclusive > sign * exclusive) return { value: inclusive, exclusive: false };
  return { value: exclusive, exclusive: true };
}

/**
 * A whole number that a keyword gives; undefined where it is not there.
 * @throws SchemaError
 */
export function count(schema: Schema, name: string, path: string, most: number): number | undefined {
  const value = schema[name];
  if (value === undefined) return undefined;
  if (Number.isInteger(value) && (value as number) >= 0 && (value as number) <= most) return value as number;
  throw new SchemaError(`${path}.${name}`, `must be a whole number from 0 to ${most}`);
}
