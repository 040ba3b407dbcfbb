import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { Command } from 'commander';
import { wholeNumber } from './whole-number.js';

const START = join(import.meta.dirname, '../../../../deploy/local/start.mjs');

interface UpOptions {
  readonly port?: number;
  readonly model?: string;
  readonly dataDir?: string;
  readonly json?: true;
}

/** `longhaul up`: what `npm start` does. */
export function upCommand(): Command {
  return new Command('up')
    .description('serve the API with one worker on this machine until Ctrl-C, as npm start does')
    .option('--port <n>', 'port of the API (default: PORT, else 8080)', wholeNumber(1, 65_535))
    .option('--model <file>', 'GGUF file to serve (default: LONGHAUL_MODEL, else the one in models/)')
    .option('--data-dir <dir>', 'where everything is kept (default: LONGHAUL_DATA_DIR, else .longhaul)')
    .action(async (_options: UpOptions, command: Command) => {
      const { port, model, dataDir, json } = command.optsWithGlobals<UpOptions>();
      if (port !== undefined) process.env['PORT'] = String(port);
      if (model !== undefined) process.env['LONGHAUL_MODEL'] = model;
      if (dataDir !== undefined) process.env['LONGHAUL_DATA_DIR'] = dataDir;
      if (json) process.env['LONGHAUL_LOG_JSON'] = 'true';
      // It runs the command, and ends the process itself.
      await import(pathToFileURL(START).href);
    });
}
