import { describe, expect, it } from 'vitest';
import { SchemaError } from './schema-error.js';
import { jsonGrammar, KEYWORDS } from './schema-grammar.js';

const string = { type: 'string' };
const number = { type: 'number' };

const names = (count: number) => Object.fromEntries(Array.from({ length: count }, (_, i) => [`p${i}`, string]));

describe('jsonGrammar', () => {
  it.each([
    [{}],
    [{ type: 'object', properties: { a: string, 'b "c" \n': { type: ['integer', 'null'] } }, required: ['a'] }],
    [
      {
        anyOf: [{ const: 1 }, { $ref: '#/$defs/a~1b' }],
        $defs: { 'a/b': { type: 'integer', minimum: 1 } },
        title: 't',
      },
    ],
    [{ type: 'object', properties: { next: { anyOf: [{ $ref: '#' }, { type: 'null' }] } }, required: ['next'] }],
    [{ type: ['string', 'null'], enum: ['a', null], description: 'or nothing', default: null }],
    [{ allOf: [{ $ref: '#/definitions/x' }], definitions: { x: string } }],
    [{ ...number, exclusiveMinimum: 0, maximum: 1e9, multipleOf: 0.01 }],
    [{ oneOf: [string, number], discriminator: { propertyName: 'kind' } }],
    [{ type: 'object', properties: { ['x'.repeat(200)]: string }, additionalProperties: true }],
    [{ enum: ['\\ud800', '\\\\ud800', '😀'] }],
    [{ ...string, pattern: '^(?:a|b)+[^"]?(?<year>\\d{4})\\u{1F600}$|x' }],
    [{ type: 'object', properties: names(5000), required: Object.keys(names(5000)) }],
  ])('takes schema %#', (schema) => {
    expect(jsonGrammar(schema, true).ebnf).toMatch(/^root ::= /);
  });

  let deep: object = string;
  for (let i = 0; i < 11; i++) deep = { type: 'array', items: deep };
  /** A chain of definitions, each naming the next. */
  const chain = (last: object) => ({
    $ref: '#/$defs/d0',
    $defs: Object.fromEntries(
      Array.from({ length: 500 }, (_, i) => [`d${i}`, i === 499 ? last : { $ref: `#/$defs/d${i + 1}` }]),
    ),
  });

  it.each<[string, unknown, RegExp]>([
    ['', false, /object/],
    ['', [], /object/],
    ['', { enum: ['\ud800'] }, /half of a character/],
    ['', { description: 'x'.repeat(250_000) }, /at most 250000 characters/],
    ['.type', { type: 'strin' }, /one or a list of/],
    ['.type', { type: [] }, /one or a list of/],
    ['.uniqueItems', { type: 'array', uniqueItems: true }, /not support/],
    ['.constructor', { constructor: 1 }, /not support/],
    ['.not', { not: string }, /not support/],
    ['.oneOf', { oneOf: [] }, /at least one/],
    ['.oneOf', { oneOf: Array.from({ length: 900 }, (_, i) => ({ const: i })) }, /too large/],
    ['.oneOf', { oneOf: [string, number, { enum: [1, 'a'] }] }, /follow \[0\] and \[2\]/],
    ['.oneOf[1].$ref', { oneOf: [string, { $ref: '#/$defs/none' }] }, /definition/],
    ['.properties', { properties: { ['x'.repeat(9999)]: string }, additionalProperties: string }, /500 characters/],
    ['.allOf', { allOf: [string, string] }, /one schema only/],
    ['.type', { anyOf: [string], type: 'string' }, /beside 'anyOf'/],
    ['.minLength', { $ref: '#/$defs/a', minLength: 1, $defs: { a: string } }, /beside '\$ref'/],
    ['.maxLength', { enum: ['a'], type: 'string', maxLength: 3 }, /beside 'enum'/],
    ['.enum[1]', { enum: ['a', 1], type: 'string' }, /type/],
    ['.const', { const: 1.5, type: 'integer' }, /type/],
    ['.properties', { properties: [] }, /object/],
    ['.properties.a.type', { properties: { a: { type: 7 } } }, /one or a list/],
    ['.properties', { properties: names(5001) }, /5000/],
    ['.required', { properties: { a: string }, required: ['b'] }, /names/],
    ['.required', { required: ['toString'] }, /names/],
    ['.items.enum', { items: { enum: [] } }, /at least one/],
    ['.enum', { enum: Array.from({ length: 1001 }, (_, i) => i) }, /1000/],
    ['.anyOf', { anyOf: [] }, /at least one/],
    ['.anyOf[1].type', { anyOf: [string, { type: 'x' }] }, /one or a list/],
    ['.minItems', { minItems: 3, maxItems: 1 }, /maxItems/],
    ['.maxItems', { maxItems: 1001 }, /1000/],
    ['.minLength', { ...string, minLength: 3, maxLength: 1 }, /maxLength/],
    ['.minLength', { ...string, minLength: 1.5 }, /whole number/],
    ['.minLength', { ...string, pattern: 'a', minLength: 3 }, /beside 'pattern'/],
    ['.format', { ...string, format: 'zip' }, /one of date/],
    ['.pattern', { ...string, pattern: '(' }, /regular expression/],
    ['.pattern', { ...string, pattern: 7 }, /as text/],
    ['.pattern', { ...string, pattern: 'a(?=b)' }, /ahead/],
    ['.pattern', { ...string, pattern: '(?<!a)b' }, /ahead/],
    ['.pattern', { ...string, pattern: '(a)\\1' }, /\\1/],
    ['.pattern', { ...string, pattern: '\\bword' }, /\\b/],
    ['.pattern', { ...string, pattern: '\\p{L}' }, /\\p/],
    ['.pattern', { ...string, pattern: '(^a|b)' }, /group/],
    ['.pattern', { ...string, pattern: 'a$b' }, /elsewhere/],
    ['.pattern', { ...string, pattern: '\\u0000' }, /control/],
    ['.pattern', { ...string, pattern: '([a-z]{1,200}){1,200}' }, /repetition/],
    ['.minimum', { ...number, minimum: '1' }, /number/],
    ['.minimum', { ...number, minimum: 2, maximum: 1 }, /maximum/],
    ['.exclusiveMinimum', { ...number, exclusiveMinimum: 1, maximum: 1 }, /maximum/],
    ['.exclusiveMinimum', { type: 'integer', exclusiveMinimum: 1, exclusiveMaximum: 2 }, /no number/],
    ['.minimum', { type: 'integer', minimum: 1e300 }, /2\^53/],
    ['.maximum', { ...number, maximum: 1 / 3 }, /15 digits/],
    ['.multipleOf', { ...number, multipleOf: 0 }, /greater than 0/],
    ['.multipleOf', { type: 'integer', multipleOf: 7 }, /at most 1000 multiples/],
    ['.multipleOf', { type: 'integer', multipleOf: 7, minimum: 1, maximum: 6 }, /no multiple/],
    ['.$ref', { $ref: '#/$defs/none' }, /definition/],
    ['.$ref', { $ref: 'https://example.org/schema.json' }, /definition/],
    ['', { $ref: '#' }, /itself/],
    ['', chain({ $ref: '#/$defs/d0' }), /itself/],
    ['', { type: 'object', properties: { a: { $ref: '#' } }, required: ['a'] }, /no answer can end/],
    [`${'.items'.repeat(11)}`, deep, /10 levels/],
  ])('names %s of %s', (path, schema, says) => {
    let thrown: unknown;
    try {
      jsonGrammar(schema, true);
    } catch (error) {
      thrown = error;
    }
    expect(thrown).toBeInstanceOf(SchemaError);
    expect(thrown).toMatchObject({ path, problem: expect.stringMatching(says) });
  });

  it('bounds what compiling may cost, equal parts counted once', () => {
    const bounded = (lengths: readonly number[]) => ({
      type: 'object',
      properties: Object.fromEntries(lengths.map((maxLength, i) => [`p${i}`, { ...string, maxLength }])),
    });
    expect(() => jsonGrammar(bounded(Array(100).fill(1000)), true)).not.toThrow();
    expect(() => jsonGrammar(bounded([100, 101, 102, 103]), true)).toThrow(/too costly/);
  });

  it('ends a long chain of definitions', () => {
    expect(jsonGrammar(chain(string), true).ebnf).toContain('definition500 ::= string');
  });

  it('knows every keyword that it lists', () => {
    expect(KEYWORDS).toHaveLength(new Set(KEYWORDS).size);
  });
});
