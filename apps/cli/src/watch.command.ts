import { Command } from 'commander';
import { follow, tellEnd } from './follow.js';
import { serviceOf } from './service.js';
import { batchId, exitCodeOf } from './watched-batch.js';

/** `longhaul watch`: progress of a batch until it has ended. */
export function watchCommand(): Command {
  return new Command('watch')
    .description('show how a batch goes until it has ended; exits with 4 unless every item is answered')
    .argument('[batch]', 'id of the batch (default: the newest)')
    .action(async (given: string | undefined, _options, command) => {
      const service = serviceOf(command);
      const batch = await follow(service, await batchId(service.client, given));
      if (!service.json) tellEnd(batch);
      process.exitCode = exitCodeOf(batch);
    });
}
