/** Something the user has to put right: the message says what was expected, what was found and what to do. */
export class SetupError extends Error {
  name = 'SetupError';
}

/** Ends the process with a message and no stack; for the last `catch` of a command. */
export function exitWith(error) {
  const message = error instanceof SetupError ? error.message : `unexpected: ${error?.stack ?? error}`;
  process.stderr.write(`\n${message}\n`);
  process.exit(1);
}
