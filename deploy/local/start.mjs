// `npm start`: set-up, then the API and one worker in the foreground until Ctrl-C.
import { once } from 'node:events';
import { batchClient } from './batch-client.mjs';
import { howToGetIn, howToTry } from './how-to-try.mjs';
import { onInterrupt } from './interrupt.mjs';
import { dataDir } from './paths.mjs';
import { prepare } from './prepare.mjs';
import { apiPort, startServices, untilReady } from './services.mjs';
import { exitWith, SetupError } from './setup-error.mjs';
import { dim, step, warn } from './terminal.mjs';

async function main() {
  const { redis } = await prepare();
  const port = await apiPort();
  const { stop, now } = onInterrupt();
  const refusal = new AbortController();
  const ended = AbortSignal.any([stop, refusal.signal]);
  const services = await startServices({
    port,
    dataDir,
    redis,
    output: 'inherit',
    onDeath: (name, what, delay) => {
      if (!ended.aborted) warn(`${name} ended (${what}); starting it again in ${Math.round(delay / 1000)} s`);
    },
    onRefusal: (name) =>
      refusal.abort(new SetupError(`The ${name} cannot run with this configuration: see what it says above.`)),
  });
  if (redis) step('redis', `${services.redisUrl}, data in ${dataDir}`);
  step('start', 'API and worker ...');
  untilReady(services.url, ended)
    .then(() => batchClient(services.url, ended).models())
    .then(
      ([model]) => console.log(howToTry(services.url, model.id, Boolean(process.env.LONGHAUL_API_KEY))),
      (error) => {
        if (error.status === 401) console.log(howToGetIn(services.url));
        else if (!ended.aborted) warn(error.message);
      },
    );
  if (!ended.aborted) await once(ended, 'abort');
  step('stop', `finishing or handing back what runs ... ${dim('(Ctrl-C again: at once)')}`);
  await services.stop(now);
  step('stop', 'done');
  refusal.signal.throwIfAborted();
}

main().then(() => process.exit(0), exitWith);
