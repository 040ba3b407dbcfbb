import { expect, it } from 'vitest';
import { checkJsonSchema } from './json-schema.js';
import { ApiError } from './openai-error.js';

it('takes what can be decoded by and says where the rest is wrong', () => {
  expect(() => checkJsonSchema({ type: 'string', maxLength: 5 }, 'schema', true)).not.toThrow();
  let thrown: unknown;
  try {
    checkJsonSchema({ properties: { a: { uniqueItems: true } } }, 'response_format.json_schema.schema', true);
  } catch (error) {
    thrown = error;
  }
  expect(thrown).toBeInstanceOf(ApiError);
  expect(thrown).toMatchObject({
    status: 400,
    param: 'response_format.json_schema.schema.properties.a.uniqueItems',
    code: 'invalid_json_schema',
    message: expect.stringContaining('uniqueItems'),
  });
});
