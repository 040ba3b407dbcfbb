#!/usr/bin/env node
import { Command } from 'commander';
import { calibrateCommand } from './calibrate.command.js';

const program = new Command('longhaul')
  .description('Long-document language-model batch jobs on your own machines.')
  .addCommand(calibrateCommand())
  .showHelpAfterError();

try {
  await program.parseAsync();
} catch (error) {
  // Every error of ours says what was expected and what to do; a stack would only hide it.
  console.error(`longhaul: ${error instanceof Error ? error.message : String(error)}`);
  process.exitCode = 1;
}
