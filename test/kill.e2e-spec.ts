import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { endOfBatch, fileLines, type Longhaul, line, startBatch, startLonghaul } from './longhaul-process.js';
import { type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

const ITEMS = 90;
/** More items than go on at once in an engine: some of those may be recorded when it dies, and not said. */
const UNDER_WAY = 32;
const ANSWERED = /answered batch=\S+ item=\d+ custom_id=(\S+)/;

let redis: RedisServer;
let longhaul: Longhaul;

beforeEach(async () => {
  redis = await startRedis();
});
afterEach(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

const start = async (env: NodeJS.ProcessEnv = {}): Promise<void> => {
  longhaul = await startLonghaul(redis.url, { LONGHAUL_LOCK_SECONDS: '2', ...env }, (dataDir) => {
    const model = join(dataDir, 'tiny.gguf');
    writeTinyGguf(model, { contextLength: 2048 });
    return { LONGHAUL_MODEL: model };
  });
};

/** Has a worker send itself the signal once it has answered so many items. */
const signalAfter = (items: number, signal: NodeJS.Signals): NodeJS.ProcessEnv => ({
  NODE_OPTIONS: `--import ${pathToFileURL(join(import.meta.dirname, 'signal-itself.mjs'))}`,
  SIGNAL_ITSELF: `${signal} ${items}`,
});

/** Questions on three documents; answers of many lengths, so that they end one after another. */
const lines = Array.from({ length: ITEMS }, (_, i) =>
  line(`item-${i}`, {
    model: 'tiny',
    messages: [{ role: 'user', content: `${`Document ${i % 3}. `.repeat(60)}\nQuestion ${i}?` }],
    max_tokens: 30 + ((i * 7) % 40),
    seed: i,
    compression: { policy: 'kvmerger', budget: 0.5 },
  }),
);

/** Custom ids in the order in which all workers together said that they had answered them. */
const answered = (): string[] =>
  longhaul.workers.flatMap((worker) => worker.lines.map((text) => ANSWERED.exec(text)?.[1] ?? '').filter(Boolean));

async function expectEveryItemOnce(id: string): Promise<void> {
  const batch = await endOfBatch(longhaul, id);
  expect(batch).toMatchObject({
    status: 'completed',
    request_counts: { total: ITEMS, completed: ITEMS, failed: 0 },
  });
  const output = await fileLines(longhaul, batch.output_file_id);
  expect(output.map(({ custom_id }) => custom_id)).toEqual(lines.map((_, i) => `item-${i}`));
  for (const { response } of output) expect(response?.body.object).toBe('chat.completion');
}

describe('a worker that is lost in the middle of a batch, killed twice', () => {
  beforeEach(() => start(signalAfter(10, 'SIGKILL')));

  it('every item is answered once and none that was finished is computed again', async () => {
    const id = await startBatch(longhaul, lines);
    for (const next of [signalAfter(12, 'SIGKILL'), { NODE_OPTIONS: '' }]) {
      expect(await longhaul.worker.exited()).toEqual({ code: null, signal: 'SIGKILL' });
      const { request_counts: counts, status } = await longhaul.client.batches.retrieve(id);
      expect(status).toBe('in_progress');
      expect(counts?.completed).toBeLessThan(ITEMS);
      await longhaul.startWorker(next);
    }
    await expectEveryItemOnce(id);
    const computed = answered();
    expect(new Set(computed).size).toBe(computed.length);
    // A worker may die between recording items and saying so.
    expect(computed.length).toBeGreaterThanOrEqual(ITEMS - 2 * UNDER_WAY);
  });
});

describe('a worker that is killed while it plans', () => {
  beforeEach(() => start());

  it('leaves a batch that is planned once', async () => {
    const id = await startBatch(longhaul, lines);
    await longhaul.worker.kill('SIGKILL');
    await longhaul.startWorker();
    await expectEveryItemOnce(id);
    expect(new Set(answered()).size).toBe(answered().length);
  });
});

describe('a worker that is told to stop in the middle of a batch', () => {
  beforeEach(() => start(signalAfter(5, 'SIGTERM')));

  it('hands its document back at once, and another worker goes on', async () => {
    const id = await startBatch(longhaul, lines);
    const first = longhaul.worker;
    await first.printed(ANSWERED, 5);
    const second = longhaul.startWorker({ NODE_OPTIONS: '' });
    expect(await first.exited()).toEqual({ code: 0, signal: null });
    expect(first.count(/handed back/)).toBeGreaterThan(0);
    await second;
    await expectEveryItemOnce(id);
    expect(answered().sort()).toEqual(lines.map((_, i) => `item-${i}`).sort());
  });
});
