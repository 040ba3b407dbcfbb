// `npm run demo`: set-up, then a real batch: three documents, three questions on each, answered by this machine.
import { mkdirSync, openSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join, relative } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { batchClient } from './batch-client.mjs';
import { tail } from './command.mjs';
import { questions } from './demo-questions.mjs';
import { resultTable } from './demo-table.mjs';
import { onInterrupt } from './interrupt.mjs';
import { claim, release } from './ownership.mjs';
import { dataDir, root } from './paths.mjs';
import { prepare } from './prepare.mjs';
import { freePort } from './redis-server.mjs';
import { startServices, untilReady } from './services.mjs';
import { exitWith, SetupError } from './setup-error.mjs';
import { progressBar, step, width } from './terminal.mjs';

/** An app that dies this often will not come up. */
const deathsAllowed = 2;
/** Nothing of a demo is worth a long drain. */
const grace = 10_000;

async function main() {
  const { redis } = await prepare();
  const lock = join(dataDir, 'demo.lock');
  const other = claim(lock);
  if (other) throw new SetupError(`Another demo runs here (process ${other.pid}): wait for its end.`);
  const { stop, now } = onInterrupt();
  const failure = new AbortController();
  const ended = AbortSignal.any([stop, failure.signal]);
  const home = redis ? freshHome() : dataDir;
  const logFile = join(home, 'demo.log');
  const log = openSync(logFile, 'w');
  let deaths = 0;
  let services;
  try {
    services = await startServices({
      port: await freePort(),
      dataDir: home,
      redis,
      output: log,
      onDeath: (name, what) => {
        if (++deaths > deathsAllowed) failure.abort(new Error(`${name} does not stay up: ${what}`));
      },
      onRefusal: (name) => failure.abort(new Error(`the ${name} cannot run with this configuration`)),
    });
    step('start', 'API and worker ...');
    await untilReady(services.url, ended);
    await runBatch(batchClient(services.url, ended), ended);
  } catch (error) {
    if (stop.aborted) return 130;
    const reason = ended.aborted ? ended.reason : error;
    if (reason instanceof SetupError) throw reason;
    throw new SetupError(
      `The demo failed: ${reason.message}\n${tail(readFileSync(logFile, 'utf8'))}\nWhole log: ${logFile}`,
    );
  } finally {
    step('stop', stop.aborted ? 'interrupted: stopping everything ...' : 'stopping everything ...');
    await services?.stop(now, grace);
    release(lock);
  }
  return 0;
}

/**
 * An empty data directory, so that the demo runs beside `npm start` and never finishes an older batch first. Converted
 * weights, which are named by their content, are shared.
 */
function freshHome() {
  const home = join(dataDir, 'demo');
  rmSync(home, { recursive: true, force: true });
  mkdirSync(home, { recursive: true });
  mkdirSync(join(dataDir, 'graphs'), { recursive: true });
  symlinkSync(join(dataDir, 'graphs'), join(home, 'graphs'));
  return home;
}

async function runBatch(client, ended) {
  const [model] = await client.models();
  const lines = [];
  const asked = new Map();
  for (const [document, texts] of Object.entries(questions)) {
    const file = await client.upload(document, readFileSync(join(root, 'examples/documents', document)), 'user_data');
    step('document', `${document}  ${file.bytes.toLocaleString('en-US')} bytes  ${file.id}`);
    texts.forEach((question, index) => {
      const id = `${basename(document, '.txt')}-${index + 1}`;
      asked.set(id, { document, question });
      lines.push(JSON.stringify(batchLine(id, model.id, file.id, question)));
    });
  }
  const input = await client.upload('demo-batch.jsonl', `${lines.join('\n')}\n`, 'batch');
  const began = Date.now();
  const created = await client.createBatch(input.id);
  step('batch', `${created.id}  ${lines.length} questions for ${model.id}`);

  const batch = await watch(client, created.id, lines.length, ended);
  const seconds = (Date.now() - began) / 1000;
  const output = batch.output_file_id ? await client.content(batch.output_file_id) : '';
  const errors = batch.error_file_id ? await client.content(batch.error_file_id) : '';
  const file = join(root, 'out/demo-results.jsonl');
  mkdirSync(join(root, 'out'), { recursive: true });
  writeFileSync(file, output);

  const items = parseLines(output).map((line) => ({
    ...asked.get(line.custom_id),
    id: line.custom_id,
    body: line.response.body,
  }));
  items.sort((a, b) => [...asked.keys()].indexOf(a.id) - [...asked.keys()].indexOf(b.id));
  if (items.length > 0) console.log(`\n${resultTable(items, width())}\n`);
  step(
    'results',
    `${items.length} of ${lines.length} answered in ${seconds.toFixed(1)} s: ${relative(process.cwd(), file)}`,
  );
  if (batch.status !== 'completed' || items.length < lines.length) {
    const found = batch.errors?.data?.map((error) => error.message).join('\n') ?? errors;
    throw new Error(`the batch ended as ${batch.status} with ${items.length} of ${lines.length} answers\n${found}`);
  }
}

const batchLine = (id, model, fileId, question) => ({
  custom_id: id,
  method: 'POST',
  url: '/v1/chat/completions',
  body: {
    model,
    temperature: 0,
    max_completion_tokens: 48,
    messages: [
      {
        role: 'user',
        content: [
          { type: 'file', file: { file_id: fileId } },
          { type: 'text', text: question },
        ],
      },
    ],
  },
});

const parseLines = (text) =>
  text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line));

/** Shows the progress until the batch has ended. */
async function watch(client, id, total, signal) {
  const bar = progressBar('progress');
  try {
    for (;;) {
      const batch = await client.batch(id);
      const counts = batch.request_counts ?? {};
      bar.update((counts.completed ?? 0) + (counts.failed ?? 0), total, batch.status.replace('_', ' '));
      if (['completed', 'failed', 'expired', 'cancelled'].includes(batch.status)) return batch;
      await delay(500, undefined, { signal });
    }
  } finally {
    bar.end();
  }
}

main().then((code) => process.exit(code), exitWith);
