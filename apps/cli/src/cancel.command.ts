import { Command } from 'commander';
import { printJson, serviceOf } from './service.js';

/** `longhaul cancel`: ends a batch early. */
export function cancelCommand(): Command {
  return new Command('cancel')
    .description('end a batch early; what is answered already stays')
    .argument('<batch>', 'id of the batch')
    .action(async (id: string, _options, command) => {
      const { client, json } = serviceOf(command);
      const batch = await client.cancelBatch(id);
      if (json) printJson(batch);
      else console.log(`${batch.id} ${batch.status}`);
    });
}
