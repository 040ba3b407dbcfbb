import { Command } from 'commander';
import { calibrateCommand } from './calibrate.command.js';
import { cancelCommand } from './cancel.command.js';
import { lsCommand } from './ls.command.js';
import { modelsCommand } from './models.command.js';
import { resultsCommand } from './results.command.js';
import { SERVICE_OPTIONS } from './service.js';
import { submitCommand } from './submit.command.js';
import { upCommand } from './up.command.js';
import { watchCommand } from './watch.command.js';

const COMMANDS = [
  upCommand,
  submitCommand,
  watchCommand,
  resultsCommand,
  cancelCommand,
  lsCommand,
  modelsCommand,
  calibrateCommand,
];

const EXIT_CODES = `
Exit codes: 0 done, 1 refused or failed, 2 wrong usage, 3 service not reachable, 4 the batch ended and not every item is
answered, 130 interrupted (what was submitted goes on).`;

/** The whole command line. Throws CommanderError, after a line to stderr, where it is used wrongly. */
export function program(): Command {
  const longhaul = new Command('longhaul')
    .description('Ask many questions of long documents, on your own machines.')
    .helpCommand(false)
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(usageError(text)) })
    .exitOverride()
    .addHelpText('after', EXIT_CODES);
  for (const option of SERVICE_OPTIONS) longhaul.addOption(option);
  for (const command of COMMANDS) longhaul.addCommand(command().copyInheritedSettings(longhaul));
  return longhaul;
}

/** Commander's words as every other error of ours: one line. */
function usageError(text: string): string {
  const message = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  if (process.argv.includes('--json')) return `${JSON.stringify({ error: { message, code: 'usage' } })}\n`;
  return `longhaul: ${message} (see longhaul --help)\n`;
}
