import { Ajv2020 } from 'ajv/dist/2020.js';
import { describe, expect, it } from 'vitest';
import { Disjointness } from './disjoint.js';

const string = { type: 'string' };
const object = (properties: object, required: string[] = Object.keys(properties), more: object = {}) => ({
  type: 'object',
  properties,
  required,
  ...more,
});
const closed = { additionalProperties: false };
const kind = (name: string, more: object = {}) => object({ kind: { const: name }, ...more });

const $defs: Record<string, unknown> = {
  cat: kind('cat', { name: string }),
  dog: object({ kind: { enum: ['dog', 'puppy'] } }),
  loop: { anyOf: [{ type: 'null' }, { $ref: '#/$defs/loop' }] },
  pet: { oneOf: [{ $ref: '#/$defs/cat' }, { $ref: '#/$defs/dog' }] },
};
const ref = (name: string) => ({ $ref: `#/$defs/${name}` });
const resolve = (reference: unknown) => $defs[String(reference).replace('#/$defs/', '')];

const APART: readonly [string, unknown[]][] = [
  ['types', [string, { type: ['integer', 'null'] }, { type: 'object' }, { type: 'array', items: string }]],
  ['values', [{ const: 1 }, { enum: ['1', 2] }, { const: { a: 1, b: [null] } }]],
  ['values and types', [{ type: 'string' }, { const: null }, { enum: [1, 2] }]],
  ['a property that all require', [kind('a'), kind('b'), object({ kind: { enum: ['c', 1] } })]],
  ['a property that one requires', [kind('a'), object({ kind: { const: 'b' } }, [])]],
  ['a property in a property', [object({ head: kind('a') }), object({ head: kind('b') })]],
  ['references', [ref('cat'), ref('dog'), { type: 'null' }]],
  ['references to choices', [ref('pet'), kind('horse'), { allOf: [kind('cow')] }]],
  ['properties that others do not allow', [object({ a: string }, ['a'], closed), object({ b: string }, ['b'], closed)]],
];

const TOGETHER: readonly [string, unknown[]][] = [
  ['the same', [string, string]],
  ['integers and numbers', [{ type: 'integer' }, { type: 'number' }]],
  ['a value and its type', [string, { const: 'a' }]],
  ['equal values', [{ const: { a: 1, b: 2 } }, { enum: [0, { b: 2, a: 1 }] }]],
  ['zeros', [{ const: 0 }, { const: -0 }]],
  ['anything', [{}, string]],
  ['true', [true, string]],
  ['a property that none requires', [object({ kind: { const: 'a' } }, []), object({ kind: { const: 'b' } }, [])]],
  [
    'a property of schemas for all types',
    [
      { properties: { kind: { const: 'a' } }, required: ['kind'] },
      { properties: { kind: { const: 'b' } }, required: ['kind'] },
    ],
  ],
  ['properties where one may have more', [object({ a: string }, ['a'], closed), object({ b: string }, [])]],
  ['the same reference', [ref('cat'), ref('cat')]],
  ['a reference and itself', [ref('loop'), { type: 'null' }]],
  ['what nothing names', [ref('none'), string]],
];

const overlap = (schemas: readonly unknown[], strict: boolean) => new Disjointness(resolve, strict).overlap(schemas);

describe('Disjointness', () => {
  it.each(APART)('sees by %s', (_, schemas) => {
    expect(overlap(schemas, false)).toBeUndefined();
    expect(overlap([...schemas].reverse(), true)).toBeUndefined();
    expect(overlap([...schemas, schemas[0]], true)).toEqual([0, schemas.length]);
  });

  it.each(TOGETHER)('sees no difference between %s', (_, schemas) => {
    expect(overlap(schemas, true)).toEqual([0, 1]);
    expect(overlap([...schemas].reverse(), false)).toEqual([0, 1]);
  });

  it('knows that strict answers have no other properties', () => {
    const schemas = [object({ a: string }), object({ b: string })];
    expect(overlap(schemas, true)).toBeUndefined();
    expect(overlap(schemas, false)).toEqual([0, 1]);
  });

  it('gives up on very many', () => {
    expect(
      overlap(
        Array.from({ length: 1000 }, (_, i) => ({ const: i })),
        true,
      ),
    ).toBeDefined();
  });

  it('never says so of schemas that a value follows both', () => {
    const values: unknown[] = [null, true, 0, 1, 2, 1.5, '', '1', 'a', [], ['a'], {}, { a: 1, b: [null] }];
    for (const name of ['a', 'b', 'c', 'cat', 'dog', 'puppy', 'horse', 1])
      values.push({ kind: name }, { kind: name, name: '' });
    values.push(...values.map((head) => ({ head })), ...['a', 'b'].map((name) => ({ [name]: 'x' })), {
      a: 'x',
      b: 'x',
    });
    const ajv = new Ajv2020({ strict: false });
    const schemas = [...APART, ...TOGETHER]
      .flatMap(([, all]) => all)
      .filter((one) => JSON.stringify(one) !== JSON.stringify(ref('none')));
    const followers = schemas.map((schema) => {
      // The loop names itself and nothing else: who follows it is not defined.
      if (JSON.stringify(schema) === JSON.stringify(ref('loop'))) return [];
      const validate = ajv.compile(typeof schema === 'object' ? { ...schema, $defs } : (schema as boolean));
      return values.filter((value) => validate(value));
    });
    let apart = 0;
    for (const [i, one] of schemas.entries()) {
      for (const [j, other] of schemas.entries()) {
        if (overlap([one, other], false)) continue;
        apart++;
        expect([one, other, followers[i]!.filter((value) => followers[j]!.includes(value))]).toEqual([one, other, []]);
      }
    }
    expect(apart).toBeGreaterThan(500);
  });
});
