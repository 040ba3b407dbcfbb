export { type ApiKey, ApiKeys, type CreatedApiKey, NAME_LENGTH } from './api-keys.js';
