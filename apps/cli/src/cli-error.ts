/** What `longhaul` exits with; README.md lists them. */
export const EXIT = {
  /** Done; of a batch: every item is answered. */
  done: 0,
  /** The service refused, or something went wrong that the message names. */
  failed: 1,
  /** The command line, or a file it names, cannot be used. */
  usage: 2,
  /** Nobody answers at the service's address. */
  unreachable: 3,
  /** The batch has ended and not every item is answered. */
  incomplete: 4,
  /** Ctrl-C, as shells count it. What was submitted goes on. */
  interrupted: 130,
} as const;

/** Ends the command with one line and an exit code. */
export class CliError extends Error {
  override readonly name: string = 'CliError';

  constructor(
    message: string,
    readonly exitCode: number = EXIT.failed,
    /** For programs: the service's own code where it refused. */
    readonly code: string | null = null,
  ) {
    super(message);
  }
}

/** The command line cannot be used as it is. */
export class UsageError extends CliError {
  override readonly name = 'UsageError';

  constructor(message: string) {
    super(message, EXIT.usage, 'usage');
  }
}
