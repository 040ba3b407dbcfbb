import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { GgufModel } from '@app/gguf-model';
import { jsonGrammar, KEYWORDS, SchemaError } from '@app/json-grammar';
import { Ajv2020 } from 'ajv/dist/2020.js';
import addFormats from 'ajv-formats';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canBeWritten } from '../../../test/constrained-text.js';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { JsonConstraints } from './json-constraint.js';
import { seededRandom } from './random.js';
import { allows } from './token-mask.js';

const folder = mkdtempSync(join(tmpdir(), 'longhaul-schemas-'));
/** Another implementation of JSON Schema. */
const ajv = new Ajv2020({ strict: false, multipleOfPrecision: 9 });
addFormats.default(ajv);
let gguf: GgufModel;
let constraints: JsonConstraints;

beforeAll(async () => {
  const modelPath = join(folder, 'tiny.gguf');
  writeTinyGguf(modelPath);
  gguf = await GgufModel.open(modelPath);
  // A thread cannot be started from TypeScript: all in this one.
  constraints = new JsonConstraints(gguf.tokenizer, Number.POSITIVE_INFINITY);
});
afterAll(async () => {
  await gguf?.close();
  rmSync(folder, { recursive: true, force: true });
});

const open = (schema: unknown, strict: boolean) => constraints.open({ schema: JSON.stringify(schema), strict });
const isEnd = (token: number): boolean => gguf.tokenizer.endOfTurnTokens.includes(token);

const seeds = fc.integer({ min: 1, max: 2_147_483_646 });

/** A part of a character: random ones are no UTF-8. */
const isBroken = (token: number): boolean => gguf.tokenizer.decode([token]).includes('\ufffd');

/** Whether a schema lets a text be written and ended. */
const accepts = async (schema: unknown, text: string, strict = true) =>
  canBeWritten(text, await open(schema, strict), gguf.tokenizer);

/** Whether a `oneOf` is in it whose schemas cannot be told apart. */
function isRefusedOneOf(schema: unknown, strict: boolean): boolean {
  try {
    jsonGrammar(schema, strict);
    return false;
  } catch (error) {
    if (error instanceof SchemaError && error.path.endsWith('.oneOf')) return true;
    throw error;
  }
}

/** What a model writes that chooses at random among the tokens it may, in a hurry to end. */
async function written(schema: unknown, strict: boolean, random: () => number): Promise<string> {
  const closing = [...'"}]'].map((character) => gguf.tokenizer.encode(character)[0]!);
  const vocabulary = Array.from({ length: gguf.tokenizer.vocabularySize }, (_, token) => token);
  const constraint = await open(schema, strict);
  const tokens: number[] = [];
  try {
    for (;;) {
      const possible = vocabulary.filter((token) => allows(constraint.mask, token));
      if (possible.length === 0 || tokens.length > 3000) throw new Error(`after ${gguf.tokenizer.decode(tokens)}`);
      const whole = possible.filter((token) => !isBroken(token));
      const allowed = whole.length > 0 ? whole : possible;
      const hurried = allowed.filter((token) => isEnd(token) || closing.includes(token));
      const among = hurried.length > 0 && random() < Math.min(0.6, 0.3 + tokens.length / 200) ? hurried : allowed;
      const token = among[Math.floor(random() * among.length)]!;
      if (isEnd(token)) return gguf.tokenizer.decode(tokens);
      constraint.accept(token);
      tokens.push(token);
      await constraint.ready;
    }
  } finally {
    constraint.dispose();
  }
}

const string = { type: 'string' };
const number = { type: 'number' };
const integer = { type: 'integer' };
const node = {
  type: 'object',
  properties: { value: integer, next: { anyOf: [{ $ref: '#/$defs/node' }, { type: 'null' }] } },
  required: ['value', 'next'],
};

/** Of each keyword: a schema, what may be written, what must not. */
const CASES: readonly (readonly [
  keyword: string,
  schema: object,
  valid: readonly string[],
  invalid: readonly string[],
])[] = [
  ['type', { type: ['string', 'null'] }, ['"a"', 'null'], ['1', '{}']],
  ['type', { type: 'integer' }, ['0', '-12'], ['1.5', '1e3', '01', '"1"']],
  ['type', { type: 'number' }, ['0', '-1.50', '1e9', '2E-7'], ['.5', '1.', '1e999', '+1', 'NaN']],
  ['type', { type: 'boolean' }, ['true', 'false'], ['True', '0']],
  ['enum', { enum: ['a"b', 1, null, { x: [1, 2] }] }, ['"a\\"b"', '1', 'null', '{"x": [1, 2]}'], ['"a"', '2', '[]']],
  ['const', { const: 'only' }, ['"only"'], ['"other"', 'null']],
  [
    'properties',
    { type: 'object', properties: { a: integer, b: string } },
    ['{"a": 1, "b": ""}', '{"b": "x"}', '{}'],
    ['{"a": ""}', '{"c": 1}', '{"b": "", "a": 1}'],
  ],
  [
    'required',
    { type: 'object', properties: { a: integer, b: integer }, required: ['b'] },
    ['{"b": 1}', '{"a": 1, "b": 2}'],
    ['{}', '{"a": 1}'],
  ],
  [
    'additionalProperties',
    { type: 'object', properties: { ab: integer }, additionalProperties: string },
    ['{"ab": 1, "a": "x", "abc": ""}', '{"x": ""}'],
    ['{"ab": "x"}', '{"a": 1}', '{"ab": 1, "ab": "x"}', '{"\\u0061b": "x"}'],
  ],
  [
    'additionalProperties',
    { type: 'object', properties: { a: integer }, additionalProperties: false },
    ['{"a": 1}', '{}'],
    ['{"b": 1}'],
  ],
  ['items', { type: 'array', items: integer }, ['[]', '[1, 2]'], ['["a"]', '[1, null]']],
  ['minItems', { type: 'array', items: integer, minItems: 2 }, ['[1, 2]', '[1, 2, 3]'], ['[]', '[1]']],
  ['maxItems', { type: 'array', items: integer, maxItems: 2 }, ['[]', '[1, 2]'], ['[1, 2, 3]']],
  ['maxItems', { type: 'array', maxItems: 0 }, ['[]'], ['[1]']],
  ['minLength', { ...string, minLength: 2 }, ['"ab"', '"😀é"', '"abc"'], ['""', '"a"', '"😀"']],
  ['maxLength', { ...string, maxLength: 3 }, ['""', '"😀é漢"'], ['"abcd"']],
  [
    'pattern',
    { ...string, pattern: '^[A-Z]{2}-\\d+$' },
    ['"AB-1"', '"XY-123"'],
    ['"A-1"', '"AB-"', '"AB-1x"', '"xAB-1"'],
  ],
  ['pattern', { ...string, pattern: 'a+|^b$' }, ['"a"', '"xax"', '"b"'], ['"bb"', '""', '"xb"']],
  [
    'pattern',
    { ...string, pattern: '^["\\\\\\n]\\.[^x]?$' },
    ['"\\"."', '"\\\\.y"', '"\\n."'],
    ['"""', '"\\".xx"', '"n."'],
  ],
  [
    'format',
    { ...string, format: 'date' },
    ['"2024-02-29"', '"1999-12-31"'],
    ['"2023-02-29"', '"2023-04-31"', '"2023-1-1"'],
  ],
  ['format', { ...string, format: 'time' }, ['"23:59:59Z"', '"00:00:00.5+01:30"'], ['"24:00:00Z"', '"12:00:00"']],
  [
    'format',
    { ...string, format: 'date-time' },
    ['"2024-02-29T10:00:00Z"'],
    ['"2024-02-29 10:00:00Z"', '"2023-02-29T10:00:00Z"'],
  ],
  ['format', { ...string, format: 'duration' }, ['"P1Y2M"', '"PT1H"', '"P2W"'], ['"P"', '"PT"', '"P1H"']],
  ['format', { ...string, format: 'email' }, ['"a.b+c@example.org"'], ['"a@b@c.de"', '"a@"', '"@b.de"']],
  ['format', { ...string, format: 'hostname' }, ['"example.org"', '"a-1"'], ['"-a"', '"a..b"']],
  ['format', { ...string, format: 'ipv4' }, ['"192.168.0.255"'], ['"256.0.0.1"', '"1.2.3"', '"01.2.3.4"']],
  [
    'format',
    { ...string, format: 'ipv6' },
    ['"::"', '"::1"', '"2001:db8::8:800:200c:417a"', '"1:2:3:4:5:6:7:8"'],
    ['"1:2"', '"1::2::3"', '"12345::"'],
  ],
  [
    'format',
    { ...string, format: 'uuid' },
    ['"123e4567-e89b-12d3-a456-426614174000"'],
    ['"123e4567e89b12d3a456426614174000"'],
  ],
  ['minimum', { ...integer, minimum: -12, maximum: 105 }, ['-12', '0', '9', '105'], ['-13', '106', '1000']],
  ['minimum', { ...number, minimum: 0 }, ['0', '0.5', '123456789'], ['-1', '-0.5']],
  ['maximum', { ...number, maximum: 10.25 }, ['10.25', '10.2', '-99', '9.99'], ['10.26', '10.3', '11']],
  ['exclusiveMinimum', { ...number, exclusiveMinimum: 0 }, ['0.1', '1'], ['0', '0.0', '-1']],
  ['exclusiveMinimum', { ...integer, exclusiveMinimum: 9.5 }, ['10', '11'], ['9']],
  ['exclusiveMaximum', { ...number, exclusiveMaximum: 1 }, ['0.999', '-5'], ['1', '1.0', '1.5']],
  ['multipleOf', { ...number, multipleOf: 0.01, minimum: 0 }, ['1.25', '3'], ['1.255', '-1']],
  ['multipleOf', { ...number, multipleOf: 2.5, minimum: -5, maximum: 5 }, ['-2.5', '0', '5'], ['1', '7.5']],
  ['multipleOf', { ...integer, multipleOf: 15, minimum: 1, maximum: 60 }, ['15', '60'], ['0', '20', '75']],
  ['anyOf', { anyOf: [integer, { type: 'array', items: integer }] }, ['1', '[1]'], ['"1"', '[[1]]']],
  [
    'oneOf',
    {
      oneOf: [
        { type: 'null' },
        { type: 'object', properties: { kind: { const: 'a' }, n: integer }, required: ['kind', 'n'] },
        { type: 'object', properties: { kind: { const: 'b' } }, required: ['kind'] },
      ],
      discriminator: { propertyName: 'kind' },
    },
    ['null', '{"kind": "a", "n": 1}', '{"kind": "b"}'],
    ['{"kind": "a"}', '{"kind": "c"}', '1'],
  ],
  ['allOf', { allOf: [{ $ref: '#/$defs/a' }], $defs: { a: { enum: [1, 2] } } }, ['1', '2'], ['3']],
  [
    '$ref',
    { ...node, $defs: { node } },
    ['{"value": 1, "next": null}', '{"value": 1, "next": {"value": 2, "next": null}}'],
    ['{"value": 1}', '{"value": 1, "next": {}}'],
  ],
  ['$defs', { $ref: '#/$defs/a', $defs: { a: string } }, ['"x"'], ['1']],
  ['definitions', { $ref: '#/definitions/a', definitions: { a: string } }, ['"x"'], ['1']],
];

describe('an answer that is held to a schema', () => {
  test.each(CASES)('follows %s: %j', async (_keyword, schema, valid, invalid) => {
    for (const text of valid) expect({ text, accepted: await accepts(schema, text) }).toEqual({ text, accepted: true });
    for (const text of invalid)
      expect({ text, accepted: await accepts(schema, text) }).toEqual({ text, accepted: false });
    const validate = ajv.compile(schema);
    const random = seededRandom(1);
    for (let i = 0; i < 20; i++) {
      const text = await written(schema, true, random);
      expect({ text, errors: validate(JSON.parse(text)) ? null : validate.errors }).toEqual({ text, errors: null });
    }
  });

  test('has a case here for every keyword that says anything', () => {
    const annotations = [
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
    expect(new Set([...CASES.map(([keyword]) => keyword), ...annotations])).toEqual(new Set(KEYWORDS));
  });

  /** Bounds that leave something between. */
  const bound = fc.oneof(
    fc.integer({ min: -1100, max: 1100 }),
    fc.integer({ min: -99_999, max: 99_999 }).map((value) => value / 1000),
  );
  const numbers = fc.record({
    low: bound,
    high: bound,
    open: fc.boolean(),
    type: fc.constantFrom('number', 'integer'),
  });

  test('stays within any bounds, and may be any number between', async () => {
    await fc.assert(
      fc.asyncProperty(numbers, seeds, async ({ low, high, open, type }, seed) => {
        const [least, most] = low < high ? [low, high] : [high, low];
        fc.pre(type === 'number' ? least < most : Math.ceil(least + 0.001) <= Math.floor(most - 0.001));
        const schema = open
          ? { type, exclusiveMinimum: least, exclusiveMaximum: most }
          : { type, minimum: least, maximum: most };
        const text = await written(schema, true, seededRandom(seed));
        expect(ajv.validate(schema, JSON.parse(text)), text).toBe(true);
        const between = type === 'integer' ? Math.ceil(least + 0.001) : Number(((least + most) / 2).toFixed(4));
        if (ajv.validate(schema, between)) expect(await accepts(schema, String(between)), String(between)).toBe(true);
      }),
      { numRuns: 100, seed: 1 },
    );
  });

  const leaf = fc.constantFrom<object>(
    string,
    integer,
    { type: 'boolean' },
    { enum: ['a', 'b', null] },
    { ...string, maxLength: 4 },
    { ...number, minimum: 1, exclusiveMaximum: 2 },
    { ...string, pattern: '^x|[a-m]$' },
  );
  const { schema: schemas } = fc.letrec<{ schema: object }>((tie) => ({
    schema: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      leaf,
      fc.record({
        type: fc.constant('array'),
        items: tie('schema'),
        minItems: fc.nat(2),
        maxItems: fc.integer({ min: 2, max: 4 }),
      }),
      fc.array(tie('schema'), { minLength: 1, maxLength: 3 }).map((anyOf) => ({ anyOf })),
      fc.array(tie('schema'), { minLength: 2, maxLength: 3 }).map((oneOf) => ({ oneOf })),
      fc
        .tuple(
          fc.dictionary(fc.constantFrom('a', 'ab', 'b', '"', 'é'), fc.tuple(tie('schema'), fc.boolean()), {
            maxKeys: 4,
            noNullPrototype: true,
          }),
          fc.option(fc.oneof(fc.boolean(), tie('schema')), { nil: undefined }),
        )
        .map(([members, additionalProperties]) => ({
          type: 'object',
          properties: Object.fromEntries(Object.entries(members).map(([name, [member]]) => [name, member])),
          required: Object.keys(members).filter((name) => members[name]![1]),
          ...(additionalProperties !== undefined && { additionalProperties }),
        })),
    ),
  }));

  test('follows schemas made of all that, strict or not', async () => {
    await fc.assert(
      fc.asyncProperty(schemas, fc.boolean(), seeds, async (schema, strict, seed) => {
        fc.pre(!isRefusedOneOf(schema, strict));
        const text = await written(schema, strict, seededRandom(seed));
        const value: unknown = JSON.parse(text);
        expect({ text, errors: ajv.validate(schema, value) ? null : ajv.errors }).toEqual({ text, errors: null });
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});
