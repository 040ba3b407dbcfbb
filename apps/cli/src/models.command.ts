import { Command } from 'commander';
import { printJson, serviceOf } from './service.js';

/** `longhaul models`: what the service can be asked for. */
export function modelsCommand(): Command {
  return new Command('models').description('list the models that are served').action(async (_options, command) => {
    const { client, json } = serviceOf(command);
    const models = await client.models();
    if (json) printJson(models);
    else for (const { id } of models) console.log(id);
  });
}
