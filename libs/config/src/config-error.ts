/** One environment variable that cannot be used. */
export interface BadVariable {
  readonly variable: string;
  readonly expected: string;
  readonly found: string;
}

/** Thrown by `loadConfig`: lists every bad variable at once. */
export class ConfigError extends Error {
  override readonly name = 'ConfigError';

  constructor(readonly variables: readonly BadVariable[]) {
    const lines = variables.map(
      ({ variable, expected, found }) => `  ${variable}: expected ${expected}, found ${found}`,
    );
    const count = variables.length === 1 ? '1 environment variable' : `${variables.length} environment variables`;
    super(`${count} cannot be used. Correct or unset:\n${lines.join('\n')}`);
  }
}
