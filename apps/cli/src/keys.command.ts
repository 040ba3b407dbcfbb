import { Command, Option } from 'commander';
import type { KeysOptions } from './keys.js';

const EXAMPLES = `
Keys are kept in Redis, by their SHA-256 alone: run this on the machine of the service, or with its REDIS_URL.
The first key closes the API: from then on every request needs one, those of this command line in LONGHAUL_API_KEY.
That stays so when all are revoked; only 'longhaul keys reset' opens the API to this machine again.

Example:
  export LONGHAUL_API_KEY=$(longhaul keys create laptop)`;

/** What `longhaul keys` does, which has libraries to load that no other command should wait for. */
const actions = () => import('./keys.js');

/** `longhaul keys`: the keys that the API takes. */
export function keysCommand(): Command {
  const command = new Command('keys')
    .description('create, list and revoke keys of the API')
    .addHelpText('after', EXAMPLES);
  const redis = [
    new Option('--redis <url>', "Redis of the service (default: the one of 'longhaul up')").env('REDIS_URL'),
    new Option('--data-dir <dir>', "where 'longhaul up' keeps everything (default: .longhaul)").env(
      'LONGHAUL_DATA_DIR',
    ),
  ];
  const add = (name: string, description: string): Command => {
    const sub = command.command(name).description(description);
    for (const option of redis) sub.addOption(option);
    return sub;
  };
  const options = (sub: Command): KeysOptions => sub.optsWithGlobals<KeysOptions>();
  add('create', 'make a key and print it, once')
    .argument('<name>', 'what longhaul keys ls calls it')
    .action(async (name: string, _options, sub) => (await actions()).createKey(name, options(sub)));
  add('ls', 'list keys, oldest first').action(async (_options, sub) => (await actions()).listKeys(options(sub)));
  add('revoke', 'take a key no more, from the next request on')
    .argument('<id>', 'id of the key, as longhaul keys ls prints it')
    .action(async (id: string, _options, sub) => (await actions()).revokeKey(id, options(sub)));
  add('reset', 'revoke all keys, and let this machine in without one again').action(async (_options, sub) =>
    (await actions()).resetKeys(options(sub)),
  );
  return command;
}
