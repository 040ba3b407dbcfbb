import type { Schema } from './scalars.js';

/** Steps after which two schemas count as not told apart. */
const MAX_STEPS = 20_000;

const TYPES = ['object', 'array', 'string', 'number', 'boolean', 'null'] as const;
type Type = (typeof TYPES)[number];

/**
 * Tells schemas apart: whether no value follows two of them. What it says is so; where it sees no difference there may
 * still be one. It looks at types, at the values of `enum` and `const`, and at the properties of objects.
 */
export class Disjointness {
  private steps = 0;
  private readonly values = new WeakMap<Schema, ReadonlySet<string> | undefined>();

  /**
   * @param resolve the schema that a `$ref` names
   * @param strict whether answers have no properties but those that their schema names, unless it says `additionalProperties`
   */
  constructor(
    private readonly resolve: (reference: unknown) => unknown,
    private readonly strict: boolean,
  ) {}

  /** Whether it gave up, as there was too much to compare. */
  get gaveUp(): boolean {
    return this.steps > MAX_STEPS;
  }

  /** Positions of two schemas that one answer might follow; undefined where there are none. */
  overlap(schemas: readonly unknown[]): [number, number] | undefined {
    for (let i = 0; i < schemas.length; i++) {
      for (let j = 0; j < i; j++) if (!this.apart(schemas[i], schemas[j], [])) return [j, i];
    }
    return undefined;
  }

  /** @param references that were followed to come here: one that comes again would never end */
  private apart(a: unknown, b: unknown, references: readonly unknown[]): boolean {
    this.steps++;
    if (this.gaveUp || !isRecord(a) || !isRecord(b)) return false;
    for (const [one, other] of [
      [a, b],
      [b, a],
    ] as const) {
      const reference = one['$ref'];
      if (reference !== undefined) {
        if (references.includes(reference)) return false;
        return this.apart(this.resolve(reference), other, [...references, reference]);
      }
      const options = one['anyOf'] ?? one['oneOf'] ?? one['allOf'];
      if (Array.isArray(options)) return options.every((option) => this.apart(option, other, references));
    }
    const [valuesOfA, valuesOfB] = [this.valuesOf(a), this.valuesOf(b)];
    if (valuesOfA && valuesOfB) return [...valuesOfA].every((value) => !valuesOfB.has(value));
    const typesOfB = typesOf(b, valuesOfB);
    const common = [...typesOf(a, valuesOfA)].filter((type) => typesOfB.has(type));
    if (common.length === 0) return true;
    return (
      common.length === 1 && common[0] === 'object' && !valuesOfA && !valuesOfB && this.objectsApart(a, b, references)
    );
  }

  /** As JSON, the same for equal values; undefined where the schema lists none. */
  private valuesOf(schema: Schema): ReadonlySet<string> | undefined {
    if (!this.values.has(schema)) {
      const values = 'const' in schema ? [schema['const']] : schema['enum'];
      this.values.set(schema, Array.isArray(values) ? new Set(values.map(canonical)) : undefined);
    }
    return this.values.get(schema);
  }

  private objectsApart(a: Schema, b: Schema, references: readonly unknown[]): boolean {
    const [ofA, ofB] = [propertiesOf(a), propertiesOf(b)];
    const [neededByA, neededByB] = [requiredOf(a), requiredOf(b)];
    // One that both name, and that is there wherever both are followed.
    const shared = [...new Set([...neededByA, ...neededByB])].filter((name) => has(ofA, name) && has(ofB, name));
    if (shared.some((name) => this.apart(ofA[name], ofB[name], references))) return true;
    return this.lacks(a, neededByB, b, neededByA) && this.lacks(b, neededByA, a, neededByB);
  }

  /** Whether no answer that is made by schema `a` follows `b`, as a property is there or is not. */
  private lacks(a: Schema, neededByB: readonly string[], b: Schema, neededByA: readonly string[]): boolean {
    const isClosed = (a['additionalProperties'] ?? !this.strict) === false;
    if (isClosed && neededByB.some((name) => !has(propertiesOf(a), name))) return true;
    return b['additionalProperties'] === false && neededByA.some((name) => !has(propertiesOf(b), name));
  }
}

function typesOf(schema: Schema, values: ReadonlySet<string> | undefined): ReadonlySet<Type> {
  if (values) return new Set([...values].map((value) => typeOf(JSON.parse(value))));
  const { type } = schema;
  const types: readonly unknown[] = type === undefined ? TYPES : Array.isArray(type) ? type : [type];
  return new Set(types.map((name) => (name === 'integer' ? 'number' : (name as Type))));
}

function typeOf(value: unknown): Type {
  if (value === null) return 'null';
  return Array.isArray(value) ? 'array' : (typeof value as Type);
}

/** JSON with the members of objects in one order. */
const canonical = (value: unknown): string =>
  JSON.stringify(value, (_, part) =>
    isRecord(part) ? Object.fromEntries(Object.entries(part).sort(([a], [b]) => (a < b ? -1 : 1))) : part,
  );

const propertiesOf = ({ properties }: Schema): Schema => (isRecord(properties) ? properties : {});
const requiredOf = ({ required }: Schema): readonly string[] => (Array.isArray(required) ? required : []);
const has = (properties: Schema, name: string): boolean => Object.hasOwn(properties, name);

const isRecord = (value: unknown): value is Schema =>
  typeof value === 'object' && value !== null && !Array.isArray(value);
