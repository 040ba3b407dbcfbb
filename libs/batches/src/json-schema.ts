import { jsonGrammar, SchemaError } from '@app/json-grammar';
import { ApiError } from './openai-error.js';

/** Schemas whose outcome is known: the lines of a batch mostly have the same one, and a large one takes a second. */
const MAX_KNOWN = 64;
const known = new Map<string, SchemaError | undefined>();

/**
 * Checks that answers can be held to a JSON schema.
 * @param path of the schema in the request
 * @param strict see `jsonGrammar`
 * @throws ApiError (400) that names the first place that is at fault
 */
export function checkJsonSchema(schema: unknown, path: string, strict: boolean): void {
  const key = `${strict}${JSON.stringify(schema)}`;
  if (!known.has(key)) {
    known.set(key, problemOf(schema, strict));
    for (const oldest of known.keys()) {
      if (known.size <= MAX_KNOWN) break;
      known.delete(oldest);
    }
  }
  const problem = known.get(key);
  if (!problem) return;
  const param = `${path}${problem.path}`;
  throw ApiError.invalid(`Invalid '${param}': ${problem.problem}.`, param, 'invalid_json_schema');
}

function problemOf(schema: unknown, strict: boolean): SchemaError | undefined {
  try {
    jsonGrammar(schema, strict);
    return undefined;
  } catch (error) {
    if (error instanceof SchemaError) return error;
    throw error;
  }
}
