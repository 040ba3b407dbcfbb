export { SchemaError } from './schema-error.js';
export { jsonGrammar, KEYWORDS } from './schema-grammar.js';
