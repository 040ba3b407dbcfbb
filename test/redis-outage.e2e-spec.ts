import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import {
  AppProcess,
  endOfBatch,
  fileLines,
  type Longhaul,
  line,
  startBatch,
  startLonghaul,
} from './longhaul-process.js';
import { freePort, type RedisServer, startRedis } from './redis-server.js';
import { writeTinyGguf } from './tiny-gguf.js';

let redis: RedisServer | undefined;
let longhaul: Longhaul | undefined;

afterEach(async () => {
  await longhaul?.stop();
  await redis?.stop();
});

describe('Redis', () => {
  // The API's start is in api-outage.
  it('missing at the start of the worker: it says so and ends', async () => {
    const url = `redis://127.0.0.1:${await freePort()}`;
    const process = new AppProcess('worker', { REDIS_URL: url });
    expect(await process.exited()).toEqual({ code: 1, signal: null });
    const said = process.lines.filter((text) => text.includes(url));
    expect(said).toHaveLength(1);
    expect(said[0]).toContain('REDIS_URL');
    expect(process.lines.join('\n')).not.toMatch(/^\s+at /m);
  });

  it('killed in the middle of a batch and started again: the batch completes by itself', async () => {
    redis = await startRedis();
    longhaul = await startLonghaul(redis.url, { LONGHAUL_LOCK_SECONDS: '3' }, (dataDir) => {
      const model = join(dataDir, 'tiny.gguf');
      writeTinyGguf(model, { contextLength: 2048 });
      return { LONGHAUL_MODEL: model };
    });
    const customIds = Array.from({ length: 60 }, (_, i) => `item-${i}`);
    const lines = customIds.map((customId, i) =>
      line(customId, {
        model: 'tiny',
        messages: [{ role: 'user', content: `${`Document ${i % 2}. `.repeat(60)}\nQuestion ${i}?` }],
        max_tokens: 40,
        seed: i,
      }),
    );
    const id = await startBatch(longhaul, lines);
    await longhaul.worker.printed(/answered/, 5);
    await redis.kill('SIGKILL');
    await Promise.all([longhaul.worker.printed(/Lost redis/), longhaul.api.printed(/Lost redis/)]);
    await redis.restart();
    await longhaul.api.printed(/is back/);
    const batch = await endOfBatch(longhaul, id);
    expect(batch).toMatchObject({ status: 'completed', request_counts: { total: 60, completed: 60, failed: 0 } });
    const output = await fileLines(longhaul, batch.output_file_id);
    expect(output.map(({ custom_id }) => custom_id)).toEqual(customIds);
    expect(longhaul.workers).toHaveLength(1);
  });
});
