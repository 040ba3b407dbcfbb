import { Disjointness } from './disjoint.js';
import {
  aliasCycle,
  all,
  any,
  compileCost,
  EMPTY,
  type Expr,
  endlessRule,
  optional,
  printExpr,
  printGrammar,
  reachable,
  repeat,
  rule,
  text,
} from './grammar.js';
import { ANY_INTEGER, ANY_NUMBER } from './numbers.js';
import { count, numberOf, type Schema, stringOf } from './scalars.js';
import { SchemaError } from './schema-error.js';
import { otherStrings, STRING, STRING_RULES } from './strings.js';

/** As OpenAI's, of a whole schema. */
const MAX_PROPERTIES = 5000;
/** As OpenAI's: objects and lists in each other. */
const MAX_DEPTH = 10;
/** As OpenAI's, of a whole schema. */
const MAX_ENUM_VALUES = 1000;
const MAX_ITEMS = 1000;
/** Of a property's name: where other properties may stand, each of its characters is a part of the grammar in the one before. */
const MAX_NAME_LENGTH = 500;
/** Characters of a whole schema, as JSON. */
const MAX_LENGTH = 250_000;
/** Of a whole grammar (`compileCost`): some 10 s, once for each worker. */
const MAX_COST = 1000;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'] as const;
type Type = (typeof TYPES)[number];

/** They say nothing about what is valid; `discriminator` is OpenAPI's. */
const ANNOTATIONS = [
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  '$schema',
  '$id',
  '$comment',
  'discriminator',
];
const DEFINITIONS = ['$defs', 'definitions'];
/** Each says all there is to say: nothing but annotations may stand beside it. */
const ALONE = ['$ref', 'anyOf', 'oneOf', 'allOf'];
/** Beside these only a type may stand. */
const VALUES = ['enum', 'const'];
const OF_TYPES = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
} as const;
const CONSTRAINTS: readonly string[] = Object.values(OF_TYPES).flat();

/** Keywords that are understood; all others are refused. */
export const KEYWORDS: readonly string[] = [
  'type',
  ...VALUES,
  ...ALONE,
  ...CONSTRAINTS,
  ...DEFINITIONS,
  ...ANNOTATIONS,
];

/** As `JSON.stringify` writes it, which leaves no other character of these escaped. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

const SEPARATOR = text(', ');

/** A grammar to decode by. */
export interface JsonGrammar {
  /** For XGrammar. */
  readonly ebnf: string;
  /** What compiling it takes: about as many times 10 ms, with a vocabulary of 49,152 tokens. */
  readonly cost: number;
}

/**
 * The grammar of all JSON that follows a schema, in one line, properties in the order of the schema.
 * What it cannot say is not left out but refused.
 * @param strict objects have no properties but those that the schema names, unless it says `additionalProperties`
 * @throws SchemaError that names the keyword
 */
export function jsonGrammar(schema: unknown, strict: boolean): JsonGrammar {
  const json = JSON.stringify(schema) ?? '';
  if (json.length > MAX_LENGTH) throw new SchemaError('', `must be at most ${MAX_LENGTH} characters of JSON`);
  if (LONE_SURROGATE.test(json)) throw new SchemaError('', 'must be Unicode text: it has half of a character');
  return new SchemaConverter(schema, strict).grammar();
}

/** A schema, and where it is. */
interface Place {
  readonly path: string;
  /** Objects and lists that it is in, itself included. */
  readonly depth: number;
}

class SchemaConverter {
  private readonly rules = new Map<string, Expr>(STRING_RULES);
  /** Definitions that are referred to: their rule's name, and where they are. */
  private readonly definitions = new Map<string, { readonly name: string; readonly path: string }>();
  /** Names of parts by what they are. */
  private readonly parts = new Map<string, string>();
  private readonly open: (() => void)[] = [];
  private readonly disjointness: Disjointness;
  private properties = 0;
  private enumValues = 0;

  constructor(
    private readonly schema: unknown,
    private readonly strict: boolean,
  ) {
    this.disjointness = new Disjointness((reference) => this.target(reference)?.schema, strict);
    this.rules.set('value', any(...TYPES.filter((type) => type !== 'integer').map((type) => this.anyOfType(type))));
    const member = all(STRING, text(': '), rule('value'));
    this.rules.set('object', all(text('{'), optional(all(member, repeat(all(SEPARATOR, member), 0))), text('}')));
    this.rules.set('array', all(text('['), list(rule('value'), 0, undefined), text(']')));
  }

  grammar(): JsonGrammar {
    const { name } = this.definition('#', '', this.schema);
    // In turn, not in each other: a chain of definitions may be long.
    for (let next = this.open.shift(); next; next = this.open.shift()) next();
    const rules = reachable(this.rules, name);
    const at = (found: string): string =>
      [...this.definitions.values()].find((definition) => definition.name === found)?.path ?? '';
    const cycle = aliasCycle(rules);
    if (cycle !== undefined) throw new SchemaError(at(cycle), 'refers to itself and to nothing else');
    const endless = endlessRule(rules);
    if (endless !== undefined)
      throw new SchemaError(at(endless), 'contains itself whatever is written: no answer can end');
    const cost = [...rules.values()].reduce((sum, expr) => sum + compileCost(expr), 0);
    if (cost > MAX_COST) {
      const found = `is too costly to decode by (${Math.ceil(cost)}, at most ${MAX_COST})`;
      throw new SchemaError('', `${found}: bounds of long strings and patterns cost most; leave some out`);
    }
    return { ebnf: printGrammar(rules), cost };
  }

  private convert(schema: unknown, place: Place): Expr {
    const { path } = place;
    if (schema === true) return rule('value');
    if (!isRecord(schema)) throw new SchemaError(path, 'must be a JSON schema: an object');
    const keywords = Object.keys(schema).filter((name) => !ANNOTATIONS.includes(name) && !DEFINITIONS.includes(name));
    const unknown = keywords.find((name) => !KEYWORDS.includes(name));
    if (unknown !== undefined) {
      throw new SchemaError(`${path}.${unknown}`, 'is a keyword that Longhaul does not support. Leave it out');
    }
    const alone = keywords.find((name) => ALONE.includes(name));
    const values = keywords.find((name) => VALUES.includes(name));
    const owner = alone ?? values;
    const beside = keywords.find((name) => name !== owner && (alone !== undefined || name !== 'type'));
    if (owner !== undefined && beside !== undefined) {
      throw new SchemaError(`${path}.${beside}`, `must not stand beside '${owner}'`);
    }
    if (schema['$ref'] !== undefined) return this.reference(schema['$ref'], `${path}.$ref`);
    if (alone !== undefined) return this.options(alone, schema[alone], place);
    const types = typesOf(schema['type'], `${path}.type`);
    if (values !== undefined) return this.values(schema, types, path);
    if (keywords.length === 0) return rule('value');
    return any(...types.map((type) => this.ofType(type, schema, place)));
  }

  private ofType(type: Type, schema: Schema, place: Place): Expr {
    const constraints: readonly string[] =
      OF_TYPES[type === 'integer' ? 'number' : (type as keyof typeof OF_TYPES)] ?? [];
    const constrained = constraints.some((name) => schema[name] !== undefined);
    if (type === 'object' && (constrained || this.strict)) return this.object(schema, place);
    if (type === 'array' && constrained) return this.array(schema, place);
    if (type === 'string' && constrained) return stringOf(schema, place.path);
    if ((type === 'number' || type === 'integer') && constrained) return numberOf(schema, type, place.path);
    return this.anyOfType(type);
  }

  private anyOfType(type: Type): Expr {
    switch (type) {
      case 'string':
        return STRING;
      case 'number':
        return ANY_NUMBER;
      case 'integer':
        return ANY_INTEGER;
      case 'boolean':
        return any(text('true'), text('false'));
      case 'null':
        return text('null');
      default:
        return rule(type);
    }
  }

  private options(keyword: string, value: unknown, { path, depth }: Place): Expr {
    if (!Array.isArray(value) || value.length === 0) {
      throw new SchemaError(`${path}.${keyword}`, 'must be a list of at least one schema');
    }
    if (keyword === 'allOf' && value.length > 1) {
      throw new SchemaError(`${path}.allOf`, 'is supported with one schema only. Write what all of them say as one');
    }
    const options = value.map((option, i) => this.convert(option, { path: `${path}.${keyword}[${i}]`, depth }));
    const both = keyword === 'oneOf' ? this.disjointness.overlap(value) : undefined;
    if (this.disjointness.gaveUp) {
      throw new SchemaError(`${path}.oneOf`, "is too large to tell its schemas apart. Say 'anyOf'");
    }
    if (both) {
      const found = `is supported where no value follows two of its schemas; here one might follow [${both.join('] and [')}]`;
      const help =
        "Tell them apart by 'type', 'const' or 'enum', if need be of a property that both require, or say 'anyOf'";
      throw new SchemaError(`${path}.oneOf`, `${found}. ${help}`);
    }
    return any(...options);
  }

  private reference(value: unknown, path: string): Expr {
    const target = this.target(value);
    if (!target) throw new SchemaError(path, "must be '#' or the name of a definition: '#/$defs/name'");
    return rule(this.definition(value as string, target.path, target.schema).name);
  }

  /** What a `$ref` names, and where that is. */
  private target(reference: unknown): { readonly path: string; readonly schema: unknown } | undefined {
    if (reference === '#') return { path: '', schema: this.schema };
    const [, defs, name] =
      typeof reference === 'string' ? (/^#\/(\$defs|definitions)\/(.+)$/.exec(reference) ?? []) : [];
    // RFC 6901: in a pointer, `/` and `~` are escaped.
    const key = name?.replaceAll('~1', '/').replaceAll('~0', '~');
    const found = defs && isRecord(this.schema) ? this.schema[defs] : undefined;
    if (key === undefined || !isRecord(found) || !Object.hasOwn(found, key)) return undefined;
    return { path: `.${defs}.${key}`, schema: found[key] };
  }

  private definition(pointer: string, path: string, schema: unknown): { name: string } {
    const known = this.definitions.get(pointer);
    if (known) return known;
    const name = pointer === '#' ? 'root' : `definition${this.definitions.size}`;
    this.definitions.set(pointer, { name, path });
    this.open.push(() => this.rules.set(name, this.convert(schema, { path, depth: 0 })));
    return { name };
  }

  private values(schema: Schema, types: readonly Type[], path: string): Expr {
    const keyword = schema['enum'] === undefined ? 'const' : 'enum';
    const values = keyword === 'const' ? [schema['const']] : schema['enum'];
    if (!Array.isArray(values) || values.length === 0) {
      throw new SchemaError(`${path}.enum`, 'must be a list of at least one value');
    }
    this.enumValues += values.length;
    if (this.enumValues > MAX_ENUM_VALUES) {
      throw new SchemaError(`${path}.${keyword}`, `must be at most ${MAX_ENUM_VALUES} values in all`);
    }
    const stranger = values.findIndex((value) => !types.some((type) => isOfType(value, type)));
    if (stranger >= 0) {
      const at = keyword === 'enum' ? `${path}.enum[${stranger}]` : `${path}.const`;
      throw new SchemaError(at, `must be of the type that stands beside it: ${types.join(' or ')}`);
    }
    return any(...values.map((value) => text(oneLine(value))));
  }

  private array(schema: Schema, { path, depth }: Place): Expr {
    const min = count(schema, 'minItems', path, MAX_ITEMS) ?? 0;
    const max = count(schema, 'maxItems', path, MAX_ITEMS);
    if (max !== undefined && min > max) throw new SchemaError(`${path}.minItems`, "must be at most 'maxItems'");
    const items = schema['items'] ?? true;
    const item = this.define(this.convert(items, deeper({ path: `${path}.items`, depth })));
    return all(text('['), list(item, min, max), text(']'));
  }

  private object(schema: Schema, place: Place): Expr {
    const { path } = place;
    const properties = schema['properties'] ?? {};
    if (!isRecord(properties)) throw new SchemaError(`${path}.properties`, 'must be an object of schemas');
    const names = Object.keys(properties);
    this.properties += names.length;
    if (this.properties > MAX_PROPERTIES) {
      throw new SchemaError(`${path}.properties`, `must be at most ${MAX_PROPERTIES} properties in all`);
    }
    const required = requiredOf(schema['required'] ?? [], names, `${path}.required`);
    const members = names.map((name) => ({
      required: required.has(name),
      member: [
        text(`${JSON.stringify(name)}: `),
        this.define(this.convert(properties[name], deeper({ ...place, path: `${path}.properties.${name}` }))),
      ],
    }));
    return all(text('{'), ...this.members(members, this.others(schema, names, place)), text('}'));
  }

  /** A member that the schema does not name; undefined where there may be none. */
  private others(schema: Schema, names: readonly string[], place: Place): Expr | undefined {
    const asked = schema['additionalProperties'] ?? !this.strict;
    if (asked === false) return undefined;
    if (names.some((name) => name.length > MAX_NAME_LENGTH)) {
      const found = `must have names of at most ${MAX_NAME_LENGTH} characters, where there may be others`;
      throw new SchemaError(`${place.path}.properties`, found);
    }
    const value = this.convert(asked, deeper({ ...place, path: `${place.path}.additionalProperties` }));
    const name = names.length === 0 ? STRING : otherStrings(names, (expr) => this.define(expr));
    return this.define(all(name, text(': '), value));
  }

  /** The members in their order, commas between those that are there. */
  private members(
    members: readonly { readonly required: boolean; readonly member: readonly Expr[] }[],
    other: Expr | undefined,
  ): readonly Expr[] {
    /** What may follow a member, and what may follow where there is none before; undefined: there is always one before. */
    let next: readonly Expr[] = other ? [this.define(repeat(all(SEPARATOR, other), 0))] : [];
    let first: readonly Expr[] | undefined = other ? [optional(all(other, ...next))] : [];
    const firstRequired = members.findIndex(({ required }) => required);
    for (let i = members.length - 1; i >= 0; i--) {
      const { required, member } = members[i]!;
      const begin = [...member, ...next];
      const goOn = [SEPARATOR, ...begin];
      if (firstRequired >= 0 && i > firstRequired) first = undefined;
      else if (required) first = begin;
      else first = [this.define(any(all(...first!), all(...begin)))];
      next = required ? goOn : [this.define(any(all(...next), all(...goOn)))];
    }
    return first ?? [];
  }

  /** A name for what may be used more than once; equal parts share one, and so cost once. */
  private define(expr: Expr): Expr {
    if (expr.kind === 'rule' || expr === EMPTY) return expr;
    const key = printExpr(expr);
    let name = this.parts.get(key);
    if (name === undefined) {
      name = `part${this.parts.size}`;
      this.parts.set(key, name);
      this.rules.set(name, expr);
    }
    return rule(name);
  }
}

/** So many, with commas between. */
function list(item: Expr, min: number, max: number | undefined): Expr {
  if (max === 0) return EMPTY;
  const some = all(item, repeat(all(SEPARATOR, item), Math.max(0, min - 1), max === undefined ? undefined : max - 1));
  return min === 0 ? optional(some) : some;
}

function typesOf(value: unknown, path: string): readonly Type[] {
  const types = value === undefined ? TYPES : Array.isArray(value) ? (value as unknown[]) : [value];
  if (types.length === 0 || !types.every((type) => TYPES.includes(type as Type))) {
    throw new SchemaError(path, `must be one or a list of ${TYPES.join(', ')}`);
  }
  // Every integer is a number.
  return [...new Set(types as Type[])].filter((type) => type !== 'integer' || !types.includes('number'));
}

function requiredOf(value: unknown, names: readonly string[], path: string): ReadonlySet<string> {
  if (Array.isArray(value) && value.every((name) => names.includes(name as string))) return new Set(value as string[]);
  throw new SchemaError(path, "must be a list of names in 'properties'");
}

function deeper({ path, depth }: Place): Place {
  if (depth >= MAX_DEPTH) throw new SchemaError(path, `must not be nested more than ${MAX_DEPTH} levels deep`);
  return { path, depth: depth + 1 };
}

function isOfType(value: unknown, type: Type): boolean {
  switch (type) {
    case 'null':
      return value === null;
    case 'array':
      return Array.isArray(value);
    case 'object':
      return isRecord(value);
    case 'integer':
      return Number.isInteger(value);
    default:
      return typeof value === type;
  }
}

/** JSON with the spaces that the grammar has. */
function oneLine(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(oneLine).join(', ')}]`;
  if (!isRecord(value)) return JSON.stringify(value);
  const members = Object.entries(value).map(([name, member]) => `${JSON.stringify(name)}: ${oneLine(member)}`);
  return `{${members.join(', ')}}`;
}

const isRecord = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
