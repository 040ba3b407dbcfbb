import { describe, expect, it } from 'vitest';
import { checkJsonSchema } from './json-schema.js';
import { ApiError } from './openai-error.js';

const string = { type: 'string' };

describe('checkJsonSchema', () => {
  it.each([
    [{ type: 'object', properties: { a: string, b: { type: ['integer', 'null'] } }, required: ['a'] }],
    [{ type: 'array', items: { enum: ['a', 1, null] }, minItems: 1, maxItems: 3 }],
    [{ anyOf: [{ const: 1 }, { $ref: '#/$defs/a' }], $defs: { a: { type: 'integer', minimum: 1, maximum: 2 } } }],
    [{ type: 'object', properties: { next: { $ref: '#' } }, additionalProperties: false, title: 't', default: {} }],
    [{ type: 'string', format: 'date-time' }],
    [{ enum: ['\\ud800', '\\\\ud800', '😀'] }],
    [{}],
  ])('takes %j', (schema) => expect(() => checkJsonSchema(schema, 's')).not.toThrow());

  let deep: object = string;
  for (let i = 0; i < 10; i++) deep = { type: 'array', items: deep };
  const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, string]));

  it.each([
    ['s', false],
    ['s', []],
    ['s.type', { type: 'strin' }],
    ['s.type', { type: [] }],
    ['s.pattern', { type: 'string', pattern: '^([a-z]{1,200}){1,200}$' }],
    ['s.maxLength', { type: 'string', maxLength: 5 }],
    ['s.allOf', { allOf: [string] }],
    ['s.constructor', { constructor: 1 }],
    ['s.properties', { properties: [] }],
    ['s.properties', { properties: { 'a"b': string } }],
    ['s.properties.a.type', { properties: { a: { type: 7 } } }],
    ['s.properties', { properties: names(201) }],
    ['s.required', { properties: { a: string }, required: ['b'] }],
    ['s.required', { required: ['toString'] }],
    ['s.items.enum', { items: { enum: [] } }],
    ['s.enum', { enum: Array.from({ length: 1001 }, (_, i) => i) }],
    ['s.anyOf', { anyOf: [] }],
    ['s.anyOf[1].type', { anyOf: [string, { type: 'x' }] }],
    ['s.minItems', { minItems: 3, maxItems: 1 }],
    ['s.maxItems', { maxItems: 1001 }],
    ['s.minimum', { type: 'number', minimum: 0 }],
    ['s.minimum', { type: 'integer', minimum: 2, maximum: 1 }],
    ['s', { enum: ['\ud800'] }],
    ['s', { description: 'x'.repeat(65_536) }],
    ['s.anyOf[999]', { anyOf: Array(1000).fill(string) }],
    ['s.format', { type: 'string', format: 'zip' }],
    ['s.$ref', { $ref: '#/$defs/none' }],
    ['s.$ref', { $ref: 'https://example.org/schema.json' }],
    [`s${'.items'.repeat(10)}`, deep],
  ])('names %s', (path, schema) => {
    let thrown: unknown;
    try {
      checkJsonSchema(schema, 's');
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(ApiError);
    expect(thrown).toMatchObject({ status: 400, param: path, code: 'invalid_json_schema' });
  });
});
