/** No answer can be held to this JSON schema. */
export class UnusableSchemaError extends Error {
  override readonly name = 'UnusableSchemaError';
  constructor() {
    super(
      'The JSON schema cannot be used: no JSON follows it, or it has parts that contradict each other or that cannot be ' +
        'decoded by. Make it simpler.',
    );
  }
}

/** The request needs more positions than the model has. */
export class ContextOverflowError extends Error {
  override readonly name = 'ContextOverflowError';
  constructor(
    readonly contextLength: number,
    readonly promptTokens: number,
    readonly maxTokens: number,
  ) {
    super(
      `This model's maximum context length is ${contextLength} tokens, but ${promptTokens + maxTokens} were requested ` +
        `(${promptTokens} in the prompt, ${maxTokens} for the answer). Shorten the document or lower max_completion_tokens.`,
    );
  }
}

/** What is asked would never fit into the memory that keys and values may take, however long it waited. */
export class KvMemoryExceededError extends Error {
  override readonly name = 'KvMemoryExceededError';
  constructor(
    /** What does not fit: a document while it is read, or a question with its answer. */
    readonly what: 'document' | 'question',
    readonly tokens: number,
    readonly neededBytes: number,
    readonly limitBytes: number,
  ) {
    super(
      what === 'document'
        ? `A document of ${tokens} tokens needs ${megabytes(neededBytes)} of memory for its keys and values while it is read ` +
            `with this compression, but a worker has ${megabytes(limitBytes)} for documents (LONGHAUL_KV_MEMORY). Shorten it, ` +
            'or ask for compression.reading "merging" or a smaller compression.budget.'
        : `A question and its answer of ${tokens} tokens need ${megabytes(neededBytes)} of memory for their keys and values, ` +
            `but a worker has ${megabytes(limitBytes)} for questions and answers (LONGHAUL_KV_MEMORY). Shorten the question ` +
            'or lower max_completion_tokens.',
    );
  }
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`;

/** The caller gave the work up; nothing of it stays. */
export class EngineAbortedError extends Error {
  override readonly name = 'EngineAbortedError';
  constructor() {
    super('The engine call was aborted.');
  }
}

/** The handle names no cache of this engine: it was released, or another engine made it. */
export class UnknownCacheError extends Error {
  override readonly name = 'UnknownCacheError';
  constructor(readonly handle: number) {
    super(
      `Expected the handle of a held cache, found ${handle}, which was released or never made. Prefill the prefix again.`,
    );
  }
}

/** The engine's thread ended without being asked to. */
export class EngineCrashedError extends Error {
  override readonly name = 'EngineCrashedError';
  constructor(reason: string) {
    super(`The engine's thread ended unexpectedly (${reason}). The worker must be started again.`);
  }
}
