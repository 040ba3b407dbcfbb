export { SchemaError } from './schema-error.js';
export { type JsonGrammar, jsonGrammar, KEYWORDS } from './schema-grammar.js';
