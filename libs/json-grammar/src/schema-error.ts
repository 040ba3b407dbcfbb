/** A JSON schema that answers cannot be held to. */
export class SchemaError extends Error {
  override readonly name = 'SchemaError';

  constructor(
    /** Where in the schema: `.properties.age.minimum`; empty for all of it. */
    readonly path: string,
    /** What is wrong there, as the end of a sentence. */
    readonly problem: string,
  ) {
    super(`The JSON schema${path === '' ? '' : ` at '${path}'`} ${problem}.`);
  }
}
