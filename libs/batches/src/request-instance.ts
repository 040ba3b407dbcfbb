import { plainToInstance } from 'class-transformer';
import { ApiError } from './openai-error.js';

/** A class whose decorators say what a request must be. */
export interface RequestClass<T extends object = object> {
  new (): T;
  /**
   * Paths of fields that hold data of the caller's, whose own fields may have any name: `metadata`,
   * `response_format.json_schema.schema`.
   */
  readonly verbatim?: readonly string[];
}

/**
 * An instance of the class with a request's fields, not validated yet. What lies in its verbatim fields is the request's own:
 * class-transformer would drop a field of it that is named `constructor`, or fail on it. Null fields are left out, as OpenAI's
 * clients send them for what was not given.
 * @param fields no deeper than `MAX_JSON_DEPTH`
 * @param path of `fields` in the request
 * @throws ApiError (400) where any other field has a name that every object has
 */
export function instanceOf<T extends object>(type: RequestClass<T>, fields: object, path: string): T {
  const taken: [at: readonly string[], value: unknown][] = [];
  const typed = (value: unknown, at: readonly string[]): unknown => {
    if (typeof value !== 'object' || value === null) return value;
    if (Array.isArray(value)) return value.map((member, i) => typed(member, [...at, String(i)]));
    const members: [string, unknown][] = [];
    for (const [name, member] of Object.entries(value)) {
      if (member === null) continue;
      const place = [...at, name];
      if (type.verbatim?.includes(place.join('.'))) taken.push([place, member]);
      else if (name in Object.prototype) throw unknownParameter(place.reduce(memberPath, path));
      else members.push([name, typed(member, place)]);
    }
    return Object.fromEntries(members);
  };
  const instance = plainToInstance(type, typed(fields, []) as object, { exposeUnsetFields: false });
  for (const [at, value] of taken) {
    const holder = at.slice(0, -1).reduce<object>((within, name) => within[name as keyof object], instance);
    Object.assign(holder, { [at.at(-1)!]: value });
  }
  return instance;
}

/** 400: nobody knows what the field would mean. */
export const unknownParameter = (path: string): ApiError =>
  ApiError.invalid(`Unrecognized request argument supplied: ${path}`, path, 'unknown_parameter');

/** `messages[0].content` */
export function memberPath(parent: string, property: string): string {
  if (/^\d+$/.test(property)) return `${parent}[${property}]`;
  return parent === '' ? property : `${parent}.${property}`;
}
