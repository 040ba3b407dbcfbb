import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { endOfBatch, fileLines, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { freePort, type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

/** A model whose keys and values weigh much and cost little. */
const SHAPE = { layers: 16, kvHeads: 8, queryHeads: 8, headSize: 64, contextLength: 16_384 };
const HEADS = SHAPE.layers * SHAPE.kvHeads;
const BUDGET = 0.5;
const GROUPS = 20;
/** Words of a document and about the tokens of them. */
const WORDS = 200;
const TOKENS = 1000;
/** Keys, values, mass, log-mass and what each received. */
const READ_BYTES = TOKENS * HEADS * (2 * 64 + 3) * 4;
/** Keys and values with a column more each, and an entry for the items' own tokens; the head that each of two threads has under way twice. */
const MADE_BYTES = (HEADS + 2) * (1 + BUDGET * TOKENS) * (2 * 64 + 2) * 4;
const PEAK_BYTES = READ_BYTES + MADE_BYTES;
/** Room for three documents, and a quarter for questions and answers. */
const DOCUMENT_BYTES = Math.floor(3.5 * PEAK_BYTES);
const KV_BYTES = Math.ceil((DOCUMENT_BYTES * 4) / 3);
/** Node, the runtime, its graphs and threads. */
const MOST_BESIDE_BYTES = 600e6;

let redis: RedisServer;
let longhaul: Longhaul;
let metricsPort: number;

beforeAll(async () => {
  redis = await startRedis();
  metricsPort = await freePort();
  const env = {
    LONGHAUL_KV_MEMORY: String(KV_BYTES),
    LONGHAUL_MAX_GROUPS: String(GROUPS),
    LONGHAUL_THREADS: '2',
    LONGHAUL_METRICS_PORT: String(metricsPort),
  };
  longhaul = await startLonghaul(redis.url, env, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, SHAPE);
    return { LONGHAUL_MODEL: model };
  });
});
afterAll(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const document = (name: string, words: number): string =>
  Array.from({ length: words }, (_, i) => `${name}${(i * i) % 997}`).join(' ');
const questions = (name: string, words = WORDS): object[] =>
  ['Who?', 'When?'].map((question, i) =>
    line(`${name}-${i}`, {
      model: 'tiny',
      messages: [{ role: 'user', content: `${document(name, words)}\n\n${question}` }],
      max_tokens: 8,
      compression: { policy: 'kvmerger', budget: BUDGET },
    }),
  );

/** Most that the worker ever took, in bytes. */
const peakRss = (): number =>
  1024 * Number(/VmHWM:\s*(\d+) kB/.exec(readFileSync(`/proc/${longhaul.worker.pid}/status`, 'utf8'))![1]);

async function metrics(): Promise<Record<string, number>> {
  const text = await (await fetch(`http://127.0.0.1:${metricsPort}/metrics`)).text();
  const lines = text.split('\n').filter((each) => each !== '' && !each.startsWith('#'));
  return Object.fromEntries(lines.map((each) => [each.split(' ')[0], Number(each.split(' ')[1])]));
}

it.skipIf(process.platform !== 'linux')(
  'many documents wait for memory, and the worker never takes more than planned',
  async () => {
    const first = await endOfBatch(longhaul, await startBatch(longhaul, questions('a')));
    expect(first.request_counts).toEqual({ total: 2, completed: 2, failed: 0 });
    const [answered] = await fileLines(longhaul, first.output_file_id);
    const { tokens } = answered!.response!.body.usage.kv_cache;
    const scale = tokens / TOKENS;
    expect(scale).toBeGreaterThan(0.8);
    expect(scale).toBeLessThan(1.15);
    await endOfBatch(longhaul, await startBatch(longhaul, questions('a')));
    expect(await metrics()).toMatchObject({ longhaul_documents_hit_total: 1, longhaul_documents_missed_total: 1 });
    const beside = peakRss() - scale * PEAK_BYTES;
    expect(beside).toBeLessThan(MOST_BESIDE_BYTES);
    const plan = beside + DOCUMENT_BYTES;

    const lines = Array.from({ length: GROUPS }, (_, i) => questions(String.fromCharCode(98 + i))).flat();
    const long = questions('z', 1300);
    const batch = await endOfBatch(longhaul, await startBatch(longhaul, [...long, ...lines]));
    expect(batch.request_counts).toEqual({ total: 2 * GROUPS + 2, completed: 2 * GROUPS, failed: 2 });

    for (const { custom_id, response } of await fileLines(longhaul, batch.error_file_id)) {
      expect(custom_id).toMatch(/^z-/);
      expect(response).toMatchObject({ status_code: 400, body: { error: { code: 'kv_memory_exceeded' } } });
      expect(response?.body.error.message).toMatch(/A document of \d+ tokens needs \d+ MB .* a worker has \d+ MB/);
    }
    // It came to that: there were more at once than fit.
    expect(longhaul.worker.count(/no room yet/)).toBeGreaterThan(0);
    const found = await metrics();
    expect(found['longhaul_kv_document_limit_bytes']).toBeCloseTo(DOCUMENT_BYTES, -6);
    expect(found['longhaul_kv_document_planned_bytes']).toBeLessThanOrEqual(DOCUMENT_BYTES);
    expect(found['longhaul_documents_evicted_total']).toBeGreaterThan(0);
    expect(peakRss()).toBeLessThan(1.1 * plan);
    expect(peakRss()).toBeGreaterThan(0.6 * plan);
  },
);
