import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Engine, type SamplingOptions } from '@app/inference';
import { EngineMetrics } from '@app/telemetry';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { writeTinyGguf } from '../../../test/tiny-gguf.js';
import { MeteredEngine } from './metered-engine.js';
import { type MetricsServer, serveMetrics } from './metrics-server.js';

const sampling: SamplingOptions = { temperature: 0, topP: 1, maxTokens: 5, stop: [] };
const tokens = Array.from({ length: 300 }, (_, i) => 10 + ((i * i) % 200));

describe('metrics of an engine', () => {
  const folder = mkdtempSync(join(tmpdir(), 'longhaul-metrics-'));
  let engine: MeteredEngine;
  let server: MetricsServer;

  beforeAll(async () => {
    const modelPath = join(folder, 'tiny.gguf');
    writeTinyGguf(modelPath);
    const metrics = new EngineMetrics();
    const opened = await Engine.open({ modelPath, cacheDir: folder, precision: 'f32', threads: 1 });
    engine = new MeteredEngine(opened, metrics);
    server = await serveMetrics(metrics, '127.0.0.1', 0);
  });
  afterAll(async () => {
    await server.close();
    await engine.close();
    rmSync(folder, { recursive: true, force: true });
  });

  /** What Prometheus would read, by name. */
  async function scraped(): Promise<Record<string, number>> {
    const response = await fetch(`http://127.0.0.1:${server.port}/metrics`);
    expect(response.headers.get('content-type')).toContain('text/plain');
    const lines = (await response.text()).split('\n').filter((line) => line !== '' && !line.startsWith('#'));
    return Object.fromEntries(lines.map((line) => [line.split(' ')[0], Number(line.split(' ')[1])]));
  }

  test('report the bytes that are held, and none when they are released', async () => {
    const cache = await engine.prefill({ tokens, compression: { policy: 'kvmerger', budget: 0.35 } });
    const { layers, kvHeads, entryBytes } = engine.model;
    const answer = await engine.generate({ handle: cache.handle, suffix: [20], sampling });
    expect(await scraped()).toMatchObject({
      longhaul_kv_caches: 1,
      longhaul_kv_cache_held_bytes: cache.bytes,
      longhaul_kv_cache_full_bytes: 301 * layers * kvHeads * entryBytes,
      longhaul_prefix_tokens_total: 300,
      longhaul_items_answered_total: 1,
      longhaul_answer_tokens_total: answer.tokens.length,
    });
    expect(cache.bytes).toBe(106 * layers * kvHeads * entryBytes);
    await engine.release(cache.handle);
    expect(await scraped()).toMatchObject({ longhaul_kv_caches: 0, longhaul_kv_cache_held_bytes: 0 });
  });

  test('say what is wrong where the port is taken', async () => {
    await expect(serveMetrics(new EngineMetrics(), '127.0.0.1', server.port)).rejects.toThrow(
      `LONGHAUL_METRICS_PORT: expected a port free at 127.0.0.1, found ${server.port} (EADDRINUSE)`,
    );
  });

  test('are all that is served', async () => {
    expect((await fetch(`http://127.0.0.1:${server.port}/`)).status).toBe(404);
    expect((await fetch(`http://127.0.0.1:${server.port}/metrics`, { method: 'POST' })).status).toBe(404);
  });
});
