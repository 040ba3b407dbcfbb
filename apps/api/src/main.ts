import 'reflect-metadata';
import type { Server } from 'node:http';
import { type Config, loadConfig } from '@app/config';
import { assertRedisReady } from '@app/results';
import { createLogger } from '@app/telemetry';
import { Logger } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import type { NestExpressApplication } from '@nestjs/platform-express';
import { apiWith } from './app.module.js';
import { nameRequest } from './request-id.js';

/** Long enough for the largest upload over a slow line. */
const UPLOAD_TIMEOUT_MS = 3600 * 1000;
/** Longer than clients keep idle connections, so that they never send on one that we are closing. */
const KEEP_ALIVE_MS = 65 * 1000;

async function start(config: Config): Promise<void> {
  await assertRedisReady(config.redisUrl);
  const app = await NestFactory.create<NestExpressApplication>(apiWith(config), {
    logger: createLogger('api', config),
    bodyParser: false,
    abortOnError: false,
  });
  app.use(nameRequest);
  app.useBodyParser('json', { limit: config.maxLineBytes });
  app.disable('x-powered-by');
  app.enableShutdownHooks([], { useProcessExit: true });
  const server = app.getHttpServer() as Server;
  server.requestTimeout = UPLOAD_TIMEOUT_MS;
  server.keepAliveTimeout = KEEP_ALIVE_MS;
  await app.listen(config.port, config.host);
  new Logger('Api').log(`Serves ${config.modelId} at ${await app.getUrl()}`);
  process.send?.('ready');
}

// Started by another process over a channel: without it there is nobody to stop us.
if (process.send) process.on('disconnect', () => process.kill(process.pid, 'SIGTERM'));

try {
  await start(loadConfig());
} catch (error) {
  process.stderr.write(`api: ${explain(error)}\n`);
  process.exit(1);
}

/** What the operator can put right; a stack would only hide it. */
function explain(error: unknown): string {
  const { code, syscall, message } = error as NodeJS.ErrnoException;
  if (syscall === 'listen') return `Cannot listen (${code}): ${message}. Set PORT and LONGHAUL_HOST to a free address.`;
  return error instanceof Error ? message : String(error);
}
