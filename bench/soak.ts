import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import OpenAI, { toFile } from 'openai';
import { median } from './averages.js';
import { table } from './markdown-table.js';
import { quantile } from './quality/statistics.js';

/**
 * Keeps a service of its own busy with batches for a while, and looks at what must not happen: items lost or answered twice,
 * locks that run out, an event loop that stands still, memory that grows. Run by
 * `npm run bench:soak -- [--minutes N] [--json FILE]`; exits with 1 where something of it did happen.
 */
const ROOT = join(import.meta.dirname, '../..');
const DOCUMENTS = [
  'federalist_10.txt',
  'federalist_51.txt',
  'scotus_greene_v_fisher.txt',
  'scotus_lewis_v_chicago.txt',
];
const QUESTIONS = ['What is this about?', 'Who is named first?', 'Which reasons are given?', 'What is asked for?'];
/** Batches that go on at a time, so that one is planned while others are read and answered. */
const AT_ONCE = 3;
const SAMPLE_EVERY_MS = 5000;
/** For keys and values: held documents fill it long before half of the time is over, so that what grows after that is a leak. */
const KV_MEMORY = '512MiB';
/** How much more resident memory than halfway is taken for noise. */
const MOST_GROWTH = 1.1;

const { values: options } = parseArgs({
  options: {
    minutes: { type: 'string', default: '10' },
    json: { type: 'string', default: join(ROOT, 'bench/results/soak.json') },
  },
});

/** What was seen from outside at one moment. */
interface Sample {
  readonly seconds: number;
  /** 99th percentile since the sample before, seconds. */
  readonly eventLoop: number;
  readonly rss: number;
  readonly locksLost: number;
  readonly renewalsMissed: number;
  readonly itemsAnswered: number;
}

/** What came of the batches. */
interface Work {
  batches: number;
  items: number;
  lost: number;
  answerTokens: number;
}

async function main(): Promise<void> {
  const seconds = 60 * Number(options.minutes);
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-soak-'));
  const [port, metricsPort] = await Promise.all([freePort(), freePort()]);
  const { REDIS_URL: _, ...env } = process.env;
  const service = spawn(process.execPath, [join(ROOT, 'deploy/local/start.mjs')], {
    cwd: ROOT,
    env: {
      ...env,
      PORT: `${port}`,
      LONGHAUL_METRICS_PORT: `${metricsPort}`,
      LONGHAUL_DATA_DIR: folder,
      LONGHAUL_KV_MEMORY: KV_MEMORY,
    },
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const ended = once(service, 'exit');
  try {
    const metrics = `http://127.0.0.1:${metricsPort}/metrics`;
    await Promise.race([
      untilServed(metrics),
      ended.then(([code]) => Promise.reject(new Error(`the service ended with ${code} before it was ready.`))),
    ]);
    const client = new OpenAI({ baseURL: `http://127.0.0.1:${port}/v1`, apiKey: 'none' });
    const began = performance.now();
    const isOver = () => performance.now() - began > 1000 * seconds;
    const work: Work = { batches: 0, items: 0, lost: 0, answerTokens: 0 };
    const samples: Sample[] = [];
    const stop = new AbortController();
    const sampling = sample(metrics, began, samples, stop.signal);
    const lanes = Array.from({ length: AT_ONCE }, async (_, lane) => {
      for (let round = 0; !isOver(); round++) await batch(client, lane, round, work);
    });
    // Ends before them only where nothing can be sampled any more.
    await Promise.race([sampling, Promise.all(lanes)]);
    stop.abort();
    await sampling;
    report({ ...work, ...observed(samples), minutes: (performance.now() - began) / 60_000 });
  } finally {
    service.kill('SIGINT');
    await ended;
    rmSync(folder, { recursive: true, force: true });
  }
}

/** One batch: a document that nobody asked about before and one that is asked about again and again. */
async function batch(client: OpenAI, lane: number, round: number, work: Work): Promise<void> {
  const [fresh, known] = [0, 1].map((i) => {
    const name = DOCUMENTS[(lane + round + i) % DOCUMENTS.length] as string;
    return readFileSync(join(ROOT, 'examples/documents', name), 'utf8').slice(0, 9000);
  });
  const lines = [`Batch ${lane}-${round}. ${fresh}`, known].flatMap((document, d) =>
    QUESTIONS.map((question, q) => ({
      custom_id: `${d}-${q}`,
      method: 'POST',
      url: '/v1/chat/completions',
      body: {
        model: 'smollm2-135m-instruct',
        messages: [{ role: 'user', content: `${document}\n\n${question}` }],
        max_completion_tokens: 16 + 16 * q,
      },
    })),
  );
  const text = lines.map((line) => JSON.stringify(line)).join('\n');
  const file = await client.files.create({ purpose: 'batch', file: await toFile(Buffer.from(text), 'soak.jsonl') });
  let found = await client.batches.create({
    input_file_id: file.id,
    endpoint: '/v1/chat/completions',
    completion_window: '24h',
  });
  while (!['completed', 'failed', 'expired', 'cancelled'].includes(found.status)) {
    await wait(500);
    found = await client.batches.retrieve(found.id);
  }
  const output = found.output_file_id ? await (await client.files.content(found.output_file_id)).text() : '';
  const answered = output
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { custom_id: string; response: { body: OpenAI.ChatCompletion } });
  const ids = new Set(answered.map(({ custom_id }) => custom_id));
  work.batches++;
  work.items += lines.length;
  work.lost += lines.filter(({ custom_id }) => !ids.has(custom_id)).length;
  for (const { response } of answered) work.answerTokens += response.body.usage?.completion_tokens ?? 0;
}

async function sample(url: string, began: number, samples: Sample[], stop: AbortSignal): Promise<void> {
  // Once more when all is done.
  for (let isLast = false; !isLast; ) {
    isLast = stop.aborted;
    const values = await readMetrics(url);
    samples.push({
      seconds: (performance.now() - began) / 1000,
      eventLoop: values['longhaul_event_loop_delay_p99_seconds'] ?? Number.NaN,
      rss: values['process_resident_memory_bytes'] ?? Number.NaN,
      locksLost: values['longhaul_job_locks_lost_total'] ?? Number.NaN,
      renewalsMissed: values['longhaul_job_lock_renewals_missed_total'] ?? Number.NaN,
      itemsAnswered: values['longhaul_items_answered_total'] ?? Number.NaN,
    });
    await wait(SAMPLE_EVERY_MS, undefined, { signal: stop }).catch(() => undefined);
  }
}

async function readMetrics(url: string): Promise<Record<string, number>> {
  const lines = (await (await fetch(url)).text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
  return Object.fromEntries(lines.map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]));
}

async function untilServed(metrics: string): Promise<void> {
  for (;;) {
    const answer = await fetch(metrics).catch(() => undefined);
    if (answer?.ok) return;
    await wait(200);
  }
}

/** The first sample still tells of the start, so the event loop is looked at from the second on. */
function observed(samples: readonly Sample[]) {
  const delays = samples.slice(1).map(({ eventLoop }) => 1000 * eventLoop);
  const last = samples.at(-1) as Sample;
  const rssAt = (share: number) => (samples[Math.floor(share * (samples.length - 1))] as Sample).rss / 1e6;
  return {
    eventLoopMedianMs: median(delays),
    eventLoopP99Ms: quantile(
      [...delays].sort((a, b) => a - b),
      0.99,
    ),
    eventLoopMostMs: Math.max(...delays),
    locksLost: last.locksLost,
    renewalsMissed: last.renewalsMissed,
    itemsComputed: last.itemsAnswered,
    /** Of every sample. */
    rssMb: samples.map(({ rss }) => Math.round(rss / 1e6)),
    rssHalfwayMb: rssAt(0.5),
    rssEndMb: rssAt(1),
  };
}

type Result = Work & ReturnType<typeof observed> & { readonly minutes: number };

function report(result: Result): void {
  const twice = result.itemsComputed - result.items;
  const rows: [string, string, boolean][] = [
    ['batches, items', `${result.batches}, ${result.items} in ${result.minutes.toFixed(1)} min`, result.items > 0],
    ['tokens of answers a second', (result.answerTokens / (60 * result.minutes)).toFixed(1), true],
    ['items without an answer', `${result.lost}`, result.lost === 0],
    ['items computed twice', `${twice}`, twice === 0],
    ['locks lost', `${result.locksLost}`, result.locksLost === 0],
    ['renewals missed', `${result.renewalsMissed}`, result.renewalsMissed === 0],
    ['event-loop delay, p99 of 5 s, median', `${result.eventLoopMedianMs.toFixed(0)} ms`, true],
    ['the same, of 99 % of the time', `${result.eventLoopP99Ms.toFixed(0)} ms`, result.eventLoopP99Ms < 50],
    ['the same, the worst 5 s', `${result.eventLoopMostMs.toFixed(0)} ms`, true],
    [
      'resident memory, halfway and at the end',
      `${result.rssHalfwayMb.toFixed(0)} MB, ${result.rssEndMb.toFixed(0)} MB`,
      result.rssEndMb < MOST_GROWTH * result.rssHalfwayMb,
    ],
  ];
  console.log(
    table(
      ['what', 'found', ''],
      rows.map(([what, found, good]) => [what, found, good ? 'ok' : 'NOT OK']),
    ),
  );
  mkdirSync(dirname(options.json), { recursive: true });
  writeFileSync(
    options.json,
    `${JSON.stringify({ date: new Date().toISOString().slice(0, 10), ...result }, null, 2)}\n`,
  );
  if (rows.some(([, , good]) => !good)) process.exitCode = 1;
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  server.close();
  await once(server, 'close');
  return port;
}

await main();
