export { afterMessage } from './after-message.js';
export { CHAT_ROLES, type ChatMessage, type ChatOptions, type ChatTemplate } from './chat-template.js';
export * from './errors.js';
export { GgufModel } from './gguf-model.js';
export type { LlamaHyperparameters } from './hyperparameters.js';
export { TokenEnds } from './token-ends.js';
export { TokenTextDecoder } from './token-text-decoder.js';
export { MAX_WORD_BYTES, type Tokenizer } from './tokenizer.js';
