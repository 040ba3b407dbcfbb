import 'reflect-metadata';
import { BatchJobs } from '@app/batches';
import { ConfigError, loadConfig } from '@app/config';
import { GgufError } from '@app/gguf-model';
import { HeldDocuments } from '@app/inference';
import { isPolicyName, policyNames } from '@app/kv-policy';
import { assertRedisReady } from '@app/results';
import { createLogger, EngineMetrics } from '@app/telemetry';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { Redis } from 'ioredis';
import { Drain } from './drain.js';
import { openEngine } from './engine.js';
import { MeteredEngine } from './metered-engine.js';
import { serveMetrics } from './metrics-server.js';
import { openPromptEncoder } from './prompt-encoder.js';
import { QueueConsumers } from './queue-consumers.js';
import { ReconcilerTimer } from './reconciler.timer.js';
import { workerWith } from './worker.module.js';

/** What handing back may take once the time for draining is over. */
const HAND_BACK_SECONDS = 3;

/** EX_CONFIG of sysexits.h: starting again will not help before somebody corrects the configuration or the model. */
const EXIT_CONFIG = 78;

/** Runs until SIGTERM or SIGINT, or until the engine is lost. Resolves with the exit code. */
async function main(): Promise<number> {
  const config = loadConfig();
  Logger.overrideLogger(createLogger('worker', config));
  const logger = new Logger('Worker');
  const { policy } = config.compression;
  if (!isPolicyName(policy)) {
    const expected = `a policy of ${policyNames.join(', ')}`;
    throw new ConfigError([{ variable: 'LONGHAUL_COMPRESSION', expected, found: policy }]);
  }
  const encoder = await openPromptEncoder(config, true);
  await assertRedisReady(config.redisUrl);
  const metrics = new EngineMetrics();
  const engine = new MeteredEngine(await openEngine(config), metrics);
  const documents = new HeldDocuments(engine, metrics.documents);
  metrics.limitBytes.set(documents.limitBytes);
  const metricsServer =
    config.metricsPort === undefined ? undefined : await serveMetrics(metrics, config.host, config.metricsPort);
  if (metricsServer) logger.log(`metrics: http://${config.host}:${metricsServer.port}/metrics`);

  const app = await NestFactory.createApplicationContext(workerWith(config, encoder, engine, documents, metrics), {
    abortOnError: false,
  });
  const drain = app.get(Drain);
  const consumers = app.get(QueueConsumers);
  const reconciler = app.get(ReconcilerTimer);

  const exitCode = new Promise<number>((resolve) => {
    const stop = (code: number): void => {
      drain.start(config.drainSeconds);
      resolve(code);
    };
    for (const signal of ['SIGTERM', 'SIGINT'] as const) process.on(signal, () => stop(0));
    consumers.start((crash) => {
      logger.fatal(crash.message);
      stop(1);
    });
  });
  reconciler.start();
  if (engine.model.uncalibrated !== undefined) {
    logger.warn(`calibrated policies keep the same of every KV head: ${engine.model.uncalibrated}`);
  }
  process.send?.('ready');
  const memory = `${Math.round(documents.limitBytes / 1e6)} MB for documents`;
  logger.log(`ready: model ${config.modelId} (${config.precision}, ${config.threads} threads, ${memory})`);

  const code = await exitCode;
  logger.log('stopping: finishing or handing back what runs');
  // Redis or the engine may be gone and never answer; the lock of what could not be handed back runs out by itself.
  setTimeout(() => process.exit(code), (config.drainSeconds + HAND_BACK_SECONDS) * 1000).unref();
  await Promise.all([consumers.stop(), reconciler.stop()]);
  await documents.store().catch(() => undefined);
  await metricsServer?.close();
  metrics.close();
  await app.get(BatchJobs).close();
  await engine.close().catch(() => undefined);
  app.get(Redis).disconnect();
  await app.close();
  return code;
}

// Started by another process over a channel: without it there is nobody to stop us.
if (process.send) process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

main().then(
  (code) => process.exit(code),
  (error: unknown) => {
    // What went wrong is said in the message; a stack would only hide it.
    process.stderr.write(`worker: ${error instanceof Error ? error.message : String(error)}\n`);
    process.exit(error instanceof ConfigError || error instanceof GgufError ? EXIT_CONFIG : 1);
  },
);
