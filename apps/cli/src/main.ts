import { CommanderError } from 'commander';
import { CliError, EXIT } from './cli-error.js';
import { program } from './program.js';

// Whoever reads may have seen enough (`longhaul results | head`).
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  process.exit(error.code === 'EPIPE' ? EXIT.done : EXIT.failed);
});

try {
  await program().parseAsync();
} catch (error) {
  process.exitCode = exitCodeOf(error);
  // Commander has said its own already.
  if (!(error instanceof CommanderError)) tell(error);
}

function exitCodeOf(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
  return error instanceof CliError ? error.exitCode : EXIT.failed;
}

/** Every error of ours says what was expected and what to do; a stack would only hide it. */
function tell(error: unknown): void {
  const message = (error instanceof Error ? error.message : String(error)).replace(/\s*\n\s*/g, ' ');
  const code = error instanceof CliError ? error.code : null;
  if (process.argv.includes('--json')) console.error(JSON.stringify({ error: { message, code } }));
  else console.error(`longhaul: ${message}`);
}
