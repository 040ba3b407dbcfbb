import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { wholeNumber } from './whole-number.js';

const ROOT = join(import.meta.dirname, '../../../..');

/** How it is asked to measure. */
export interface CalibrateOptions {
  readonly model: string;
  readonly documents: string;
  readonly out?: string;
  readonly samples: number;
  readonly length: number;
  readonly seed: number;
  readonly processes: number;
  readonly dataDir: string;
  readonly json?: true;
}

/** `longhaul calibrate`: measures how much each KV head of a model matters, once, and writes it beside the model. */
export function calibrateCommand(): Command {
  return new Command('calibrate')
    .description('measure what each KV head loses by compression, for policies that spread their budget by it')
    .option('--model <file>', 'GGUF file', join(ROOT, 'models/smollm2-135m-instruct.q4_1.gguf'))
    .option('--documents <dir>', 'folder of plain texts to make tasks from', join(ROOT, 'examples/documents'))
    .option('--out <file>', 'where to write (default: beside the model, as .calibration.json)')
    .option('--samples <n>', 'tasks to measure on', wholeNumber(4), 24)
    .option('--length <tokens>', 'tokens of each task', wholeNumber(512), 1536)
    .option('--seed <n>', 'which tasks', wholeNumber(0), 1)
    .option(
      '--processes <n>',
      'tasks measured at once, each in a process of 1 GB',
      wholeNumber(1),
      availableParallelism(),
    )
    .option('--data-dir <dir>', 'where graphs made from the model are kept', join(ROOT, '.longhaul'))
    .action(async (_options: CalibrateOptions, command: Command) => {
      // The engine's libraries take a second to load, which no other command should wait for.
      const { calibrate } = await import('./calibrate.js');
      await calibrate(command.optsWithGlobals<CalibrateOptions>());
    });
}
