import { jsonGrammar, SchemaError } from '@app/json-grammar';
import { ApiError } from './openai-error.js';

/**
 * Checks that answers can be held to a JSON schema.
 * @param path of the schema in the request
 * @param strict see `jsonGrammar`
 * @throws ApiError (400) that names the first place that is at fault
 */
export function checkJsonSchema(schema: unknown, path: string, strict: boolean): void {
  try {
    jsonGrammar(schema, strict);
  } catch (error) {
    if (!(error instanceof SchemaError)) throw error;
    const param = `${path}${error.path}`;
    throw ApiError.invalid(`Invalid '${param}': ${error.problem}.`, param, 'invalid_json_schema');
  }
}
