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
