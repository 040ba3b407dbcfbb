import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { calibrateCommand } from './calibrate.command.js';
import { cancelCommand } from './cancel.command.js';
import { LONGHAUL } from './command-name.js';
import { keysCommand } from './keys.command.js';
import { lsCommand } from './ls.command.js';
import { modelsCommand } from './models.command.js';
import { resultsCommand } from './results.command.js';
import { SERVICE_OPTIONS } from './service.js';
import { submitCommand } from './submit.command.js';
import { upCommand } from './up.command.js';
import { usageCommand } from './usage.command.js';
import { watchCommand } from './watch.command.js';

const COMMANDS = [
  upCommand,
  submitCommand,
  watchCommand,
  resultsCommand,
  usageCommand,
  cancelCommand,
  lsCommand,
  modelsCommand,
  keysCommand,
  calibrateCommand,
];

const AFTER_HELP = `
First steps, the service running (${LONGHAUL} up):
  ${LONGHAUL} submit contracts/ --question 'Who is the tenant?' --watch
  ${LONGHAUL} results

Exit codes:
  0    done; of a batch: every item is answered
  1    the service refused, or something failed that the line names
  2    the command line, or a file that it names, cannot be used
  3    nobody answers at the service's address
  4    the batch has ended and not every item is answered
  130  Ctrl-C; a batch that was submitted goes on`;

const PACKAGE = join(import.meta.dirname, '../../../../package.json');

/** The whole command line. Throws CommanderError, after a line to stderr, where it is used wrongly. */
export function program(): Command {
  const longhaul = new Command(LONGHAUL)
    .description('Ask many questions of long documents, on your own machines.')
    .version(versionOf(PACKAGE), '--version', 'print the version')
    .helpCommand('help [command]', 'print help for a command')
    .configureHelp({ showGlobalOptions: true })
    .configureOutput({ outputError: (text, write) => write(usageError(text)) })
    .exitOverride()
    .addHelpText('after', AFTER_HELP);
  for (const option of SERVICE_OPTIONS) longhaul.addOption(option);
  for (const command of COMMANDS) longhaul.addCommand(asOurs(command(), longhaul));
  return longhaul;
}

/** Commander hands settings on only to commands that are made by their parent after it has them. */
function asOurs(command: Command, longhaul: Command): Command {
  for (const sub of command.commands) asOurs(sub, longhaul);
  return command.copyInheritedSettings(longhaul);
}

const versionOf = (file: string): string => (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;

/** Commander's words as every other error of ours: one line. */
function usageError(text: string): string {
  const message = text
    .replace(/^error: /, '')
    .trim()
    .replace(/\s*\n\s*/g, ' ');
  if (process.argv.includes('--json')) return `${JSON.stringify({ error: { message, code: 'usage' } })}\n`;
  return `longhaul: ${message} (see ${LONGHAUL} --help)\n`;
}
