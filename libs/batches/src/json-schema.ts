import { ApiError } from './openai-error.js';

/** Of a whole schema; more would hold up everybody else while its grammar is made. */
const MAX_PROPERTIES = 200;
/** As OpenAI's. */
const MAX_DEPTH = 10;
/** As OpenAI's, of a whole schema. */
const MAX_ENUM_VALUES = 1000;
const MAX_ITEMS = 1000;
/** Of a whole schema: schemas in it, and characters. */
const MAX_SCHEMAS = 1000;
const MAX_LENGTH = 65_536;

const TYPES = ['object', 'array', 'string', 'number', 'integer', 'boolean', 'null'];
const FORMATS = ['date-time', 'date', 'time', 'duration', 'email', 'hostname', 'ipv4', 'ipv6', 'uuid'];
/** They say nothing about what is valid. */
const ANNOTATIONS = ['title', 'description', 'default', 'examples', '$schema', '$id', '$comment'];

/** As `JSON.stringify` writes it, which leaves no other character of these escaped. */
const LONE_SURROGATE = /(?<!\\)(?:\\\\)*\\ud[89a-f]/;

type Schema = Readonly<Record<string, unknown>>;

/** What is counted over the whole schema. */
interface Checked {
  readonly root: unknown;
  schemas: number;
  properties: number;
  enumValues: number;
}

/**
 * Checks that a JSON schema is one that answers can be held to: OpenAI's subset, with a bound on everything that costs.
 * @param path of the schema in the request
 * @throws ApiError (400) that names the first place that is not
 */
export function checkJsonSchema(schema: unknown, path: string): void {
  const text = JSON.stringify(schema) ?? '';
  if (text.length > MAX_LENGTH) throw invalid(path, `must be at most ${MAX_LENGTH} characters of JSON`);
  if (LONE_SURROGATE.test(text)) throw invalid(path, 'must be Unicode text: it has half of a character');
  check(schema, path, 1, { root: schema, schemas: 0, properties: 0, enumValues: 0 });
}

function check(schema: unknown, path: string, depth: number, checked: Checked): void {
  if (++checked.schemas > MAX_SCHEMAS) throw invalid(path, `must be at most ${MAX_SCHEMAS} schemas in all`);
  if (schema === true) return;
  if (!isRecord(schema)) throw invalid(path, 'must be a JSON schema: an object');
  if (depth > MAX_DEPTH) throw invalid(path, `must not be nested more than ${MAX_DEPTH} levels deep`);
  for (const [keyword, value] of Object.entries(schema)) {
    if (ANNOTATIONS.includes(keyword)) continue;
    const checkKeyword = Object.hasOwn(KEYWORDS, keyword) ? KEYWORDS[keyword] : undefined;
    if (!checkKeyword) throw invalid(`${path}.${keyword}`, 'is a keyword that Longhaul does not support. Leave it out');
    checkKeyword(value, `${path}.${keyword}`, { schema, depth, checked });
  }
}

interface Place {
  readonly schema: Schema;
  readonly depth: number;
  readonly checked: Checked;
}

const KEYWORDS: Readonly<Record<string, (value: unknown, path: string, place: Place) => void>> = {
  type: (value, path) => {
    const types = Array.isArray(value) ? value : [value];
    if (types.length === 0 || !types.every((type) => TYPES.includes(type as string))) {
      throw invalid(path, `must be one or a list of ${TYPES.join(', ')}`);
    }
  },
  properties: (value, path, { depth, checked }) => {
    checkMembers(value, path, depth, checked);
    checked.properties += Object.keys(value as object).length;
    if (checked.properties > MAX_PROPERTIES) throw invalid(path, `must be at most ${MAX_PROPERTIES} properties in all`);
  },
  required: (value, path, { schema }) => {
    const properties = isRecord(schema['properties']) ? schema['properties'] : {};
    const known = (name: unknown) => typeof name === 'string' && Object.hasOwn(properties, name);
    if (!Array.isArray(value) || !value.every(known)) throw invalid(path, "must be a list of names in 'properties'");
  },
  additionalProperties: (value, path, { depth, checked }) => {
    if (typeof value !== 'boolean') check(value, path, depth + 1, checked);
  },
  items: (value, path, { depth, checked }) => check(value, path, depth + 1, checked),
  minItems: (value, path, { schema }) => checkCount(value, path, schema['maxItems']),
  maxItems: (value, path) => checkCount(value, path, undefined),
  enum: (value, path, { checked }) => {
    if (!Array.isArray(value) || value.length === 0) throw invalid(path, 'must be a list of at least one value');
    checked.enumValues += value.length;
    if (checked.enumValues > MAX_ENUM_VALUES) throw invalid(path, `must be at most ${MAX_ENUM_VALUES} values in all`);
  },
  const: () => undefined,
  anyOf: (value, path, { depth, checked }) => {
    if (!Array.isArray(value) || value.length === 0) throw invalid(path, 'must be a list of at least one schema');
    for (const [i, option] of value.entries()) check(option, `${path}[${i}]`, depth + 1, checked);
  },
  minimum: (value, path, { schema }) =>
    checkBound(value, path, schema, (maximum) => Number(value) <= maximum, 'maximum'),
  maximum: (value, path, { schema }) => checkBound(value, path, schema, () => true, 'maximum'),
  format: (value, path) => {
    if (!FORMATS.includes(value as string)) throw invalid(path, `must be one of ${FORMATS.join(', ')}`);
  },
  $ref: (value, path, { checked }) => {
    const [, defs, name] = typeof value === 'string' ? (/^#\/(\$defs|definitions)\/([^/]+)$/.exec(value) ?? []) : [];
    const found = defs && isRecord(checked.root) ? checked.root[defs] : undefined;
    if (value !== '#' && !(isRecord(found) && Object.hasOwn(found, name as string))) {
      throw invalid(path, "must be '#' or the name of a definition: '#/$defs/name'");
    }
  },
  $defs: (value, path, { depth, checked }) => checkMembers(value, path, depth, checked),
  definitions: (value, path, { depth, checked }) => checkMembers(value, path, depth, checked),
};

function checkMembers(value: unknown, path: string, depth: number, checked: Checked): void {
  if (!isRecord(value)) throw invalid(path, 'must be an object of schemas');
  for (const [name, member] of Object.entries(value)) {
    if (!isPlainName(name)) throw invalid(path, 'must have names without quotes, backslashes and control characters');
    check(member, `${path}.${name}`, depth + 1, checked);
  }
}

const isPlainName = (name: string): boolean =>
  name !== '' && ![...name].some((character) => character < ' ' || character === '"' || character === '\\');

function checkCount(value: unknown, path: string, most: unknown): void {
  if (!Number.isInteger(value) || (value as number) < 0 || (value as number) > MAX_ITEMS) {
    throw invalid(path, `must be a whole number from 0 to ${MAX_ITEMS}`);
  }
  if (typeof most === 'number' && (value as number) > most) throw invalid(path, "must be at most 'maxItems'");
}

function checkBound(
  value: unknown,
  path: string,
  schema: Schema,
  fits: (maximum: number) => boolean,
  other: string,
): void {
  if (schema['type'] !== 'integer') throw invalid(path, "is supported for the type 'integer' only");
  if (!Number.isSafeInteger(value)) throw invalid(path, 'must be a whole number');
  if (typeof schema[other] === 'number' && !fits(schema[other])) throw invalid(path, `must be at most '${other}'`);
}

const invalid = (path: string, problem: string): ApiError =>
  ApiError.invalid(`Invalid '${path}': ${problem}.`, path, 'invalid_json_schema');

const isRecord = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
