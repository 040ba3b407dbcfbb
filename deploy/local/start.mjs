// `npm start`: set-up, then the API and one worker in the foreground until Ctrl-C.
import { once } from 'node:events';
import { batchClient } from './batch-client.mjs';
import { onInterrupt } from './interrupt.mjs';
import { dataDir } from './paths.mjs';
import { prepare } from './prepare.mjs';
import { apiPort, startServices, untilReady } from './services.mjs';
import { exitWith, SetupError } from './setup-error.mjs';
import { bold, dim, step, warn } from './terminal.mjs';

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
      ([model]) => console.log(howToTry(services.url, model.id)),
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

const howToTry = (url, model) => `
${bold('Longhaul is ready:')} ${url}

  ${elsewhere(url)}npx longhaul submit examples/opinions \\
    --questions examples/questions.txt --watch
  ${elsewhere(url)}npx longhaul results

  curl ${url}/v1/chat/completions \\
    -H 'content-type: application/json' ${withKey()}-d '{"model":"${model}",
    "messages":[{"role":"user","content":"Hello!"}]}'

  OpenAI clients: baseURL ${url}/v1. Ctrl-C stops everything.
`;

const withKey = () => (process.env.LONGHAUL_API_KEY ? '-H "authorization: Bearer $LONGHAUL_API_KEY" \\\n    ' : '');

const howToGetIn = (url) => `
${bold('Longhaul is ready:')} ${url}

  Requests need an API key: export LONGHAUL_API_KEY=$(npx longhaul keys create NAME)
`;

/** What the command line has to be told where the API is not at its usual address. */
const elsewhere = (url) => (url === 'http://127.0.0.1:8080' ? '' : `LONGHAUL_URL=${url} `);

main().then(() => process.exit(0), exitWith);
